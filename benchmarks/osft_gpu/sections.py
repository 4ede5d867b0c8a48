"""The sections, in order of worth. Each is a list of things to measure, which run one after another."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from osft_gpu import large
from osft_gpu.bench import METHODS, TUNED, Bench
from osft_gpu.lines import Failed, Skipped
from osft_gpu.stages import wait_for_lines
from osft_gpu.trainings import Training

Item = tuple[str, Callable[[], None]]
"""What is measured, and the function that does it."""
BITSANDBYTES = "bitsandbytes is not installed, which holds the base model in 4 bits"
STOP_AFTER = 2
"""Steps after which a training is stopped."""


def machine(bench: Bench) -> Iterator[Item]:
    """Yield what this machine is and how fast."""

    def look() -> None:
        (found,) = bench.stages.ask("osft_gpu.probe", "machine")
        facts = {name: found[name] for name in ("device", "gpus", "python", "versions")}
        bench.lines.figure(
            "machine", found["name"], "bfloat16 product", found["teraflops"], "TFLOP/s", **facts
        )
        if found["gpu_memory"]:
            bench.lines.figure("machine", found["name"], "memory", found["gpu_memory"] / 2**30, "GiB")
        elif bench.gpus:
            raise Failed("torch sees no GPU; --gpus 0 uses the CPU")

    yield "machine", look


def methods(bench: Bench) -> Iterator[Item]:
    """Yield a training by each method, then loading of their models."""
    models = bench.work / TUNED

    def train(method: str) -> None:
        if method == "qlora" and not bench.stages.has("train", "bitsandbytes"):
            raise Skipped(BITSANDBYTES)
        bench.downloaded("small", large=False)
        found = bench.train("small", *bench.small_words(method))
        if method == "osft":
            bench.small = found
        bench.runs = ["small"]
        bench.tell("methods", method, found)
        shutil.copytree(bench.folder("small", "train") / "model", models / method)

    def load() -> None:
        made = sorted(models.glob("*"))
        if not made:
            raise Skipped("no method left a model")
        base = bench.work / "tiny-1" / "model"
        for found in bench.stages.ask("osft_gpu.probe", "load", str(base), *map(str, made)):
            of = f"{found['model']}, loaded"
            bench.lines.figure("methods", of, "time to load", found["seconds"], "s")
            bench.lines.figure("methods", of, "changed weights", found["changed"], f"of {found['of']}")
            bench.lines.figure("methods", of, "generated", found["new"], "tokens")

    for method in METHODS:
        yield method, partial(train, method)
    yield "load", load


def resume(bench: Bench) -> Iterator[Item]:
    """Yield a training that is stopped and started again."""

    def stop_and_start() -> None:
        bench.downloaded("resumed", large=False)
        words = bench.small_words("osft")
        stop(bench, "resumed", words)
        found = bench.train("resumed", *words)
        bench.runs = ["resumed"]
        choices = {choice["name"]: choice["value"] for choice in found.record["choices"]}
        bench.lines.figure("resume", "osft", "resumed after step", int(choices.get("resume", 0)), "")
        bench.lines.figure("resume", "osft", "steps in all", found.record["metrics"]["steps"], "")
        if bench.small:
            difference = largest_difference(found, bench.small)
            bench.lines.figure("resume", "osft", "largest change of a loss", difference, "")
        if not choices.get("resume"):
            raise Failed("the second start began at step 1")

    yield "osft", stop_and_start


def stop(bench: Bench, run_id: str, words: list[str]) -> None:
    """Start a training, and stop it with SIGTERM after some steps.

    Raises:
        Failed: it ended otherwise than to be started again.
    """
    command = [bench.stages.program("train", "osft-train"), *bench.where(run_id), *words]
    log = bench.folder(run_id, "train") / "checkpoints" / "training_metrics_0.jsonl"
    with bench.stages.started(command) as process:
        wait_for_lines(log, STOP_AFTER, process, bench.clock)
        os.kill(process.pid, signal.SIGTERM)
        sent = time.monotonic()
        code = bench.stages.wait(process, "osft-train")
    if code != 75:
        raise Failed(f"osft-train ended with exit code {code} after SIGTERM, expected 75")
    bench.lines.figure("resume", "osft", "SIGTERM to end", time.monotonic() - sent, "s")


def largest_difference(one: Training, other: Training) -> float:
    """Return the largest difference of the losses of a step."""
    pairs = zip(one.steps, other.steps, strict=True)
    return max(abs(left["loss"] - right["loss"]) for left, right in pairs)


def evaluation(bench: Bench) -> Iterator[Item]:
    """Yield an evaluation with each backend."""
    scores: dict[str, float] = {}

    def judge(backend: str) -> None:
        if backend == "vllm" and not bench.stages.has("eval", "vllm"):
            raise Skipped("vLLM is not installed")
        if not bench.runs:
            raise Skipped("no training of the small model ended")
        words = [f"--gpus={bench.gpus}", f"--backend={backend}", "--holdout-generate=0"]
        bench.stage("eval", bench.runs[0], *words, "--tasks=osft_capitals", f"--limit={bench.size.items}")
        figures = evaluated(bench.folder(bench.runs[0], "eval"))
        for name, (value, unit) in figures.items():
            bench.lines.figure("eval", backend, name, value, unit)
        scores[backend] = figures["held-out loss, tuned"][0]
        if len(scores) > 1:
            difference = abs(scores["hf"] - scores["vllm"])
            bench.lines.figure("eval", "vllm and hf", "difference of the held-out loss", difference, "")

    for backend in ("hf", "vllm"):
        yield backend, partial(judge, backend)


def evaluated(folder: Path) -> dict[str, tuple[float, str]]:
    """Return the figures of an evaluation, with their units."""
    results = json.loads((folder / "results.json").read_text())
    record = json.loads((folder / "record.json").read_text())
    found = {"whole stage": (float(record["timings"]["seconds"]), "s")}
    for which in ("base", "tuned"):
        found[f"held-out loss, {which}"] = (results["holdout"]["loss"][which], "")
        found[f"capitals, {which}"] = (results["tasks"]["osft_capitals"][which], "")
    return found


SECTIONS: dict[str, tuple[float, Callable[[Bench], Iterator[Item]]]] = {
    "machine": (0.4, machine),
    "methods": (3.0, methods),
    "resume": (1.3, resume),
    "speed": (3.5, large.speed),
    "svd": (0.5, large.svd),
    "liger": (0.6, large.liger),
    "plan": (0.1, large.plan),
    "eval": (0.6, evaluation),
}
"""With the minutes of ten that each may take."""
