"""How the plan of a training turned out, in words; the report and the model card say the same."""

from typing import Any

from osft_workspace.record import Record
from osft_workspace.shapes import is_number

GIB = 2**30


def planned_and_measured(train: Record) -> dict[str, str]:
    """Return memory and time of a training, planned and measured; what is not known is left out.

    Args:
        train: the record of training.
    """
    metrics, estimate = train.metrics, train.details.get("estimate") or {}
    memory: tuple[Any, Any] = (metrics.get("planned_memory_bytes"), metrics.get("peak_memory_bytes"))
    time: tuple[Any, Any] = (estimate.get("seconds"), metrics.get("training_seconds"))
    found = {
        "Peak memory of a process": [f"{size / GIB:.2f} GiB" for size in memory if is_number(size)],
        "Training time": [duration(value) for value in time if is_number(value)],
    }
    return {
        label: f"planned {parts[0]}, measured {parts[1]}" for label, parts in found.items() if len(parts) == 2
    }


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
