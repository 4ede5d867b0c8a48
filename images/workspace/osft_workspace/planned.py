"""How the plan of a training turned out, in words; the report and the model card say the same."""

from osft_workspace.record import Record
from osft_workspace.shapes import is_number

GIB = 2**30


def planned_and_measured(train: Record) -> dict[str, str]:
    """Return memory and time of a training as they were planned and as they were; what is not known is left out.

    Args:
        train: the record of training.
    """
    metrics, estimate = train.metrics, train.details.get("estimate") or {}
    memory = {
        "planned": metrics.get("planned_memory_bytes"),
        "measured": metrics.get("peak_memory_bytes"),
    }
    time = {"planned": estimate.get("seconds"), "measured": metrics.get("training_seconds")}
    found = {
        "Peak memory of a process": [
            f"{how} {size / GIB:.2f} GiB" for how, size in memory.items() if is_number(size)
        ],
        "Training time": [f"{how} {shown(value)}" for how, value in time.items() if is_number(value)],
    }
    return {label: ", ".join(parts) for label, parts in found.items() if len(parts) == len(memory)}


def shown(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
