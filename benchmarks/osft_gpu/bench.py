"""What the sections share: how much is measured, the runs in the workspace, and the figures of a training."""

from dataclasses import dataclass, field
from pathlib import Path

from osft_gpu.clock import Clock
from osft_gpu.lines import Failed, Lines
from osft_gpu.stages import Stages
from osft_gpu.trainings import Training, decomposed

WORKSPACE, TUNED = "workspace", "tuned"
"""In the working folder: the stages' workspace, and the models of the methods."""
METHODS = ("osft", "sft", "lora", "qlora")
MADE, KEPT = "made", "kept"
SVD = {MADE: "without the cache", KEPT: "with the cache"}
"""What a training says of a matrix, and what the figures of such matrices are called."""


@dataclass(frozen=True, slots=True)
class Case:
    """One training whose speed is measured."""

    method: str
    tokens: int
    """Largest number of tokens on the device at a time; a step has about as many."""
    ratio: float = 0.25

    def __str__(self) -> str:
        share = f" ratio {self.ratio}" if self.method == "osft" else ""
        return f"{self.method}{share}, {self.tokens} tokens"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    shape: str
    exchanges: int
    """Questions and answers in one row for that shape."""
    rows: int
    steps: int
    """Of a training whose speed is measured."""
    small_steps: int
    """Of a training of the small model; the one that is stopped must not end before."""
    cases: tuple[Case, ...]
    """In order of worth."""
    items: int
    """Of the task that is evaluated; 0: all."""


TINY = Size("tiny", 2, 60, 3, 12, (Case("sft", 512), Case("osft", 512)), 8)
FULL = Size(
    *("1.5b", 6, 500, 4, 60),
    (
        *(Case("sft", 8192), Case("osft", 8192), Case("lora", 8192)),
        *(Case("sft", 32768), Case("osft", 32768), Case("osft", 8192, 0.1), Case("osft", 8192, 0.5)),
        *(Case("sft", 65536), Case("osft", 65536)),
    ),
    0,
)


@dataclass(slots=True)
class Bench:
    """One run of this benchmark."""

    size: Size
    gpus: int
    work: Path
    lines: Lines
    clock: Clock
    stages: Stages
    trained: dict[Case, Training] = field(default_factory=dict)
    """Trainings whose speed was measured."""
    small: Training | None = None
    """OSFT of the small model, from start to end."""
    runs: list[str] = field(default_factory=list)
    """Runs of the small model that can be evaluated."""

    @property
    def workspace(self) -> Path:
        """Return the stages' workspace."""
        return self.work / WORKSPACE

    def folder(self, run_id: str, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.workspace / "runs" / run_id / stage

    def stage(self, stage: str, run_id: str, *words: str) -> str:
        """Run a stage to its end; return what it printed."""
        self.workspace.mkdir(exist_ok=True)
        return self.stages.run(stage, f"osft-{stage}", *self.where(run_id), *words)

    def where(self, run_id: str) -> tuple[str, ...]:
        """Return the words that every stage gets."""
        return ("--workspace", str(self.workspace), "--run-id", run_id)

    def downloaded(self, run_id: str, *, large: bool) -> None:
        """Make a model and rows, and leave a download of them, unless they are there."""
        if (self.folder(run_id, "download") / "record.json").is_file():
            return
        shape, exchanges = (self.size.shape, self.size.exchanges) if large else ("tiny", 1)
        source = self.work / f"{shape}-{exchanges}"
        if not (source / "model" / "config.json").is_file():
            count = self.size.rows if large else 240
            made = (shape, str(source), str(count), str(exchanges))
            self.stages.run("train", "python", "-m", "osft_gpu.models", *made)
        words = (f"--uri={source}/rows.jsonl", f"--model-uri={source}/model", "--train-fraction=0.9")
        self.stage("download", run_id, *words)

    def small_words(self, method: str) -> list[str]:
        """Return how the small model is trained."""
        return [
            *(f"--method={method}", f"--gpus={self.gpus}", f"--max-steps={self.size.small_steps}"),
            *("--num-epochs=99", "--effective-batch-size=16", "--learning-rate=1e-3", "--eval-every=0"),
            *("--max-tokens-per-gpu=2048", "--max-seq-len=256"),
        ]

    def train(self, run_id: str, *words: str) -> Training:
        """Train; return what that left.

        Raises:
            Failed: it did not run on the device that it should.
        """
        self.stage("train", run_id, *words)
        found = Training.read(self.folder(run_id, "train"))
        wanted, seen = "cuda" if self.gpus else "cpu", found.record["details"]["device"]
        if seen != wanted:
            raise Failed(f"training ran on {seen}, expected {wanted}")
        return found

    def tell(self, section: str, of: str, found: Training) -> None:
        """Write the figures of a training."""
        self.lines.figure(section, of, "step", found.seconds, "s", **found.facts())
        self.lines.figure(section, of, "speed", found.median("tokens_per_second"), "tokens/s")
        self.lines.figure(section, of, "everything but steps", found.start, "s")
        self.lines.figure(section, of, "loss of the last step", found.steps[-1]["loss"], "")
        self.lines.figure(section, of, "memory of the machine", found.memory, "GiB")
        if self.gpus:
            self.lines.figure(section, of, "memory of the GPU", found.gpu_memory, "GiB")

    def tell_svd(self, run_id: str, since: float) -> None:
        """Write how long the matrices of a training that was started then took to decompose."""
        for how, shapes in decomposed(self.folder(run_id, "train"), since).items():
            of = SVD.get(how, how)
            every = [seconds for each in shapes.values() for seconds in each]
            self.lines.figure("svd", of, "all matrices", sum(every), "s", matrices=len(every))
            for shape, each in shapes.items() if how == MADE else ():
                mean = sum(each) / len(each)
                self.lines.figure("svd", f"{of}, {shape}", "one matrix", mean, "s", matrices=len(each))
