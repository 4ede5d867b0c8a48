"""The sections that train a model of a usual size."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial

from osft_gpu.bench import SVD, Bench, Case
from osft_gpu.lines import Skipped
from osft_gpu.trainings import Training

RUN = "large"
BASE = "sft"
"""Method that the others are compared with."""
FILLED = 0.9
"""Share of the tokens at a time that a step has on average, so that it rarely needs two passes."""
Item = tuple[str, Callable[[], None]]


def words(bench: Bench, case: Case, steps: int) -> list[str]:
    """Return how a case is trained: rows of a step by the tokens that the device may hold."""
    record = json.loads((bench.folder(RUN, "download") / "record.json").read_text())
    rows = record["details"]["tokens"]["sets"]["train"]
    batch = max(int(FILLED * case.tokens * rows["rows"] / rows["tokens"]), 1)
    return [
        *(f"--method={case.method}", f"--gpus={bench.gpus}", f"--max-steps={steps}", "--num-epochs=99"),
        *(f"--effective-batch-size={batch}", f"--unfreeze-rank-ratio={case.ratio}"),
        *(f"--max-tokens-per-gpu={case.tokens}", f"--max-seq-len={min(case.tokens, 8192)}"),
        *("--learning-rate=1e-4", "--eval-every=0", "--checkpoint-minutes=0"),
    ]


def train(bench: Bench, case: Case, steps: int, *more: str) -> Training:
    """Train the large model. Report its decomposition even if the training took too long."""
    bench.downloaded(RUN, large=True)
    started = time.time()
    try:
        return bench.train(RUN, *words(bench, case, steps), *more)
    finally:
        if case.method == "osft":
            bench.tell_svd(RUN, started)


def speed(bench: Bench) -> Iterator[Item]:
    """Yield a training for each method, and number of tokens."""

    def measure(case: Case) -> None:
        found = train(bench, case, bench.size.steps)
        bench.trained[case] = found
        bench.tell("speed", str(case), found)
        compare(bench, case, found)

    for case in bench.size.cases:
        yield str(case), partial(measure, case)


def compare(bench: Bench, case: Case, found: Training) -> None:
    """Write what a training takes compared to full fine-tuning with as many tokens."""
    base = bench.trained.get(Case(BASE, case.tokens))
    if not base or case.method == BASE:
        return
    ratio = found.seconds / base.seconds
    bench.lines.figure("speed", str(case), f"step divided by that of {BASE}", ratio, "")
    part = "gpu_memory" if bench.gpus else "memory"
    ratio = getattr(found, part) / getattr(base, part)
    bench.lines.figure("speed", str(case), f"memory divided by that of {BASE}", ratio, "")


def svd(bench: Bench) -> Iterator[Item]:
    """Yield a training whose decompositions are kept already, unless there was one."""
    seen = {line["of"] for line in bench.lines.all if line["section"] == "svd"}
    case = next(case for case in bench.size.cases if case.method == "osft")

    def measure() -> None:
        train(bench, case, 2)

    for of in SVD.values():
        if of not in seen:
            yield of, measure


def liger(bench: Bench) -> Iterator[Item]:
    """Yield a training without Liger's kernels, to compare with the one that has them."""
    case = bench.size.cases[0]

    def measure() -> None:
        if not bench.gpus:
            raise Skipped("Liger's kernels need a GPU")
        other = bench.trained.get(case)
        if other is None:
            raise Skipped(f"{case} was not measured")
        if not other.facts()["liger"]:
            raise Skipped("liger-kernel is not installed")
        found = train(bench, case, bench.size.steps, "--no-use-liger")
        bench.tell("liger", f"{case}, without Liger", found)
        bench.lines.figure(
            "liger", str(case), "step divided by that without", other.seconds / found.seconds, ""
        )
        ratio = other.gpu_memory / found.gpu_memory
        bench.lines.figure("liger", str(case), "memory divided by that without", ratio, "")

    yield f"{case}, without Liger", measure


def plan(bench: Bench) -> Iterator[Item]:
    """Yield what the stage planned before each training, beside what it took."""

    def tell(case: Case) -> None:
        found = bench.trained.get(case)
        if found is None:
            raise Skipped(f"{case} was not measured")
        record = found.record
        planned, took = record["details"]["estimate"]["seconds"], record["metrics"]["training_seconds"]
        bench.lines.figure("plan", str(case), "steps, planned", planned, "s")
        bench.lines.figure("plan", str(case), "steps, measured", took, "s")
        for name, figure in (("planned_memory_bytes", "planned"), ("peak_memory_bytes", "measured")):
            if size := record["metrics"].get(name):
                bench.lines.figure("plan", str(case), f"memory, {figure}", size / 2**30, "GiB")

    for case in bench.size.cases:
        yield str(case), partial(tell, case)
