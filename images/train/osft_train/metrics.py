"""The training log: one clean line for each step of this run."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from osft_workspace import UserError, write_atomic

KEPT = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "lr": "learning_rate",
    "grad_norm": "grad_norm",
    "num_samples": "rows",
    "num_total_tokens": "tokens",
    "num_loss_counted_tokens": "learned_tokens",
    "time_per_batch": "seconds",
    "tokens_per_second": "tokens_per_second",
    "peak_memory_usage_GB": "gpu_memory_gb",
    "val_loss": "validation_loss",
}
"""What mini-trainer writes -> what metrics.jsonl says."""


def raw_file(checkpoints: Path, node_rank: int) -> Path:
    """Return the file that mini-trainer appends to, one line a step."""
    return checkpoints / f"training_metrics_{node_rank}.jsonl"


def complete_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every whole line of the raw file; the last one may still be in writing."""
    if not path.is_file():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def read_steps(checkpoints: Path, node_rank: int) -> list[dict[str, Any]]:
    """One line for each step, in order. A step that was trained again counts as it was the last time."""
    steps: dict[int, dict[str, Any]] = {}
    for line in complete_lines(raw_file(checkpoints, node_rank)):
        steps[line["step"]] = line
    return [steps[number] for number in sorted(steps)]


def check_finite(steps: list[dict[str, Any]]) -> None:
    """Raise UserError at the first step whose loss is not a number: all that follows is lost."""
    for line in steps:
        if not math.isfinite(line["loss"]):
            raise diverged(line["step"])


def diverged(step: int) -> UserError:
    """Return the error for a loss that is not a number."""
    return UserError(
        f"the loss of step {step} is not a number: training diverged. "
        "Lower train.learningRate, or set train.scheduler.warmupSteps; if it was the first step, check its "
        "rows."
    )


def write_clean(steps: list[dict[str, Any]], target: Path) -> None:
    """Write metrics.jsonl: finite numbers only, valid JSON."""
    write_atomic(target, "".join(json.dumps(clean(step), allow_nan=False) + "\n" for step in steps))


def clean(step: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a raw line under our names; what is not a finite number is left out."""
    numbers = {name: step.get(raw) for raw, name in KEPT.items()}
    return {name: number for name, number in numbers.items() if number is not None and math.isfinite(number)}


def summary(steps: list[dict[str, Any]]) -> dict[str, float]:
    """Return what the record says about the training. The final loss is the last step's."""
    seconds = sum(step["time_per_batch"] for step in steps)
    tokens = sum(step["num_total_tokens"] for step in steps)
    last = steps[-1]
    measured = [(step["val_loss"], step["step"]) for step in steps if step.get("val_loss") is not None]
    lowest = min(measured) if measured else None
    return {
        **({"lowest_validation_loss": lowest[0], "lowest_validation_step": lowest[1]} if lowest else {}),
        "final_loss": last["loss"],
        "min_loss": min(step["loss"] for step in steps),
        "final_perplexity": math.exp(min(last["loss"], 700)),
        "steps": last["step"],
        "epochs": last["epoch"] + 1,
        "tokens": int(tokens),
        "tokens_per_second": round(tokens / seconds, 1) if seconds else 0.0,
        "training_seconds": round(seconds, 1),
    }
