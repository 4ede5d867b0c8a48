"""What the tests of train share: downloads of a tiny model, and a few trainings that many tests look at."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support import warm
from tests.support.sandbox import executable, stage_env
from tests.support.tiny_model import chat_rows, write_jsonl
from tests.support.trained_run import tiny_model

Process = subprocess.Popen[str] | warm.Start
COMMON = ("--gpus=0", "--max-tokens-per-gpu=1024", "--max-seq-len=256", "--learning-rate=1e-3")
SHORT = {"messages": [{"role": "assistant", "content": "Hi."}]}
LONG = {
    "messages": [
        {"role": "user", "content": "Count."},
        {"role": "assistant", "content": " ".join(map(str, range(200)))},
    ]
}
THINKING = {
    "messages": [
        {"role": "user", "content": "What does the amber baker do on Monday, and why does it matter to you?"},
        {
            "role": "assistant",
            "reasoning_content": "The village knows that.",
            "content": "On Monday the amber baker carries the apples near the bridge.",
        },
    ]
}


@dataclass
class Stage:
    """`osft-train` over one workspace, on the CPU."""

    workspace: Path
    scratch: Path
    env: dict[str, str] = field(default_factory=dict)

    def download(
        self, run_id: str, rows: list[dict[str, Any]], model: Path | None = None, *args: str
    ) -> dict[str, Any]:
        """Leave a real download of these rows and a tiny model; returns its record."""
        code, printed = self.try_download(run_id, rows, model, *args)
        assert code == 0, printed
        return dict(json.loads((self.dir(run_id).with_name("download") / "record.json").read_text()))

    def try_download(
        self, run_id: str, rows: list[dict[str, Any]], model: Path | None = None, *args: str
    ) -> tuple[int, str]:
        """One download: exit code and everything printed."""
        data = write_jsonl(self.scratch / f"{run_id}.jsonl", rows)
        where = ("--workspace", str(self.workspace), "--run-id", run_id)
        source = ("--uri", str(data), "--model-uri", str(model or tiny_model() / "model"))
        options = ("--train-fraction=1", "--no-shuffle")
        command = [executable("download"), *where, *source, *options, *args]
        return warm.run(command, stage_env(self.workspace, self.scratch), seconds=280)

    def command(self, run_id: str, *args: str) -> list[str]:
        """Return a command line with the options that all tests share, which later ones override."""
        where = ("--workspace", str(self.workspace), "--run-id", run_id)
        return [executable("train"), *where, *COMMON, *args]

    def start(self, run_id: str, *args: str, program: bool = False, **env: str) -> Process:
        """Start training, in a fork, or as a program whose workers can be looked for."""
        command, own = self.command(run_id, *args), {**self.env, **env}
        every = stage_env(self.workspace, self.scratch, own)
        if warm.may_fork(own) and not program:
            return warm.Start(command, every)
        return subprocess.Popen(
            command, env=every, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, run_id: str, *args: str, **env: str) -> tuple[int, str]:
        """One start: exit code and everything printed."""
        process = self.start(run_id, *args, **env)
        try:
            printed, _ = process.communicate(timeout=280)
        finally:
            process.kill()
        assert process.returncode is not None
        return process.returncode, printed

    def refuses(self, run_id: str, *args: str, says: str) -> None:
        """Hold a start to end with a sentence and exit code 2."""
        code, printed = self.run(run_id, *args)
        assert code == 2, printed
        assert says in printed
        assert "Traceback" not in printed

    def evaluate(self, run_id: str, *args: str) -> tuple[int, str]:
        """One start of the next stage: exit code and everything printed."""
        where = ("--workspace", str(self.workspace), "--run-id", run_id, "--gpus=0")
        env = stage_env(self.workspace, self.scratch, warm.OFFLINE)
        return warm.run([executable("eval"), *where, *args], env, seconds=280)

    def dir(self, run_id: str) -> Path:
        return self.workspace / "runs" / run_id / "train"

    def record(self, run_id: str) -> dict[str, Any]:
        return dict(json.loads((self.dir(run_id) / "record.json").read_text()))

    def metrics(self, run_id: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.dir(run_id) / "metrics.jsonl").read_text().splitlines()]

    def wait_for_step(self, run_id: str, step: int, process: Process) -> None:
        """Return when the worker has logged a step."""
        log = self.dir(run_id) / "checkpoints" / "training_metrics_0.jsonl"
        while process.poll() is None:
            if log.is_file() and len(log.read_text().splitlines()) >= step:
                return
            time.sleep(0.05)
        raise AssertionError(f"training ended before step {step}:\n{process.communicate()[0]}")


def workers(process: Process) -> list[int]:
    """Forks of a program in a session of their own, also when it is gone: torchrun, then those that train."""
    words = "\0".join(map(str, cast("list[str]", process.args))).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        with suppress(ProcessLookupError):
            if words in command and os.getsid(int(entry.name)) != os.getsid(0):
                found.append(int(entry.name))
    return sorted(found)


CHANGED = """
import math, sys
import torch
from safetensors.torch import load_file
base, tuned = (load_file(path) for path in sys.argv[1:3])
for name, weight in base.items():
    if "_proj" in name:
        change = tuned[name] - weight
        assert change.norm() > 0, name
        left, _, right = torch.linalg.svd(weight, full_matrices=False)
        kept = math.floor(min(weight.shape) * 0.75)
        parts = (left[:, :kept].T @ change).norm(), (change @ right[:kept].T).norm()
        print(max(float(part / change.norm()) for part in parts))
"""


def changed(model: Path) -> list[float]:
    """Return how much of each matrix's change is where OSFT by default changes nothing, from 0 to 1.

    That is in the directions of the largest three quarters of the singular values. The model was tuned from
    the tiny one.
    """
    files = (folder / "model.safetensors" for folder in (tiny_model() / "model", model))
    return [float(line) for line in warm.output("train", CHANGED, *files).split()]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A workspace with `opt` in its path, by which mini-trainer alone would choose other matrices."""
    base = tmp_path_factory.mktemp("optimum")
    for name in ("workspace", "scratch"):
        (base / name).mkdir()
    yield Stage(base / "workspace", base / "scratch")


WHOLE = (
    *("--effective-batch-size=8", "--num-epochs=3", "--nproc-per-node=2", "--warmup-steps=2"),
    *("--lr-scheduler=cosine_with_restarts", '--lr-scheduler-kwargs={"num_cycles": 2}', "--beta2=0.97"),
    '--extra={"validation_split": 0.1, "validate_at_epoch": true, "save_best_val_loss": true}',
)
"""Two processes, three epochs of 6 steps, and a model saved under the name of the best validation loss."""


def whole_rows() -> list[dict[str, Any]]:
    """52 rows that train, 6 of them as validation; lines 2, 4 and 5 are too short or too long."""
    rows = chat_rows(51)
    return [rows[0], SHORT, rows[1], LONG, LONG, THINKING, *rows[2:]]


@dataclass
class Done:
    """A finished training."""

    run_id: str
    printed: str
    dir: Path
    record: dict[str, Any]
    metrics: list[dict[str, Any]]
    rows: Path


@pytest.fixture(scope="session")
def whole(stage: Stage) -> Done:
    """A training that nothing disturbed; another one's request to stop lies on the machine meanwhile."""
    stage.download("whole", whole_rows())
    rows = stage.scratch / "rows"
    foreign = Path("/dev/shm/checkpoint_requested")
    foreign.touch()
    try:
        code, printed = stage.run("whole", *WHOLE, f"--data-output-dir={rows}")
    finally:
        foreign.unlink()
    assert code == 0, printed
    return Done(
        "whole",
        printed,
        stage.dir("whole"),
        stage.record("whole"),
        stage.metrics("whole"),
        next(rows.rglob("data.jsonl")),
    )


@dataclass
class Killed:
    """A training that SIGKILL ended in its first epoch."""

    left: list[int]
    states: list[str]
    rows_written: int
    """When the rows were, in nanoseconds."""


@dataclass
class Ended:
    """How one start ended."""

    code: int
    printed: str
    files: list[str]
    rows_written: int = 0


@pytest.fixture(scope="session")
def killed(stage: Stage) -> Killed:
    """The same training as `whole`, killed after its third step."""
    stage.download("story", whole_rows())
    # A state is taken after the first step; the next ones wait for 20 times the time that it took.
    process = stage.start("story", *WHOLE, "--checkpoint-minutes=0.0001", program=True)
    stage.wait_for_step("story", 3, process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while (left := workers(process)) and time.monotonic() < deadline:
        time.sleep(0.1)
    states = stage.dir("story") / "checkpoints" / "full_state_checkpoints"
    return Killed(left, sorted(path.name for path in states.iterdir()), rows_written(stage))


def rows_written(stage: Stage) -> int:
    """When the rows of the story that are short enough were written."""
    return (stage.dir("story") / "checkpoints" / "rows" / "data.jsonl").stat().st_mtime_ns


@pytest.fixture(scope="session")
def stopped(stage: Stage, killed: Killed) -> Ended:
    """Then started again, and sent SIGTERM in its second epoch."""
    process = stage.start("story", *WHOLE, program=True)
    stage.wait_for_step("story", 8, process)
    process.send_signal(signal.SIGTERM)
    os.kill(workers(process)[0], signal.SIGTERM)  # as the shutdown of a whole machine does
    printed, _ = process.communicate(timeout=120)
    files = sorted(path.name for path in stage.dir("story").iterdir())
    return Ended(process.returncode, printed, files, rows_written(stage))


@pytest.fixture(scope="session")
def finished(stage: Stage, stopped: Ended) -> Ended:
    """Then started once more, to the end."""
    code, printed = stage.run("story", *WHOLE)
    return Ended(code, printed, sorted(path.name for path in stage.dir("story").iterdir()))
