"""What a run is about, from the records of the earlier stages: the top and the end of the report."""

from collections.abc import Mapping
from typing import Any

from osft_workspace.planned import duration, planned_and_measured
from osft_workspace.record import Record
from osft_workspace.text import counted

OF_METHOD = {
    "unfreeze_rank_ratio": "unfreeze rank ratio",
    "lora_r": "rank",
    "lora_alpha": "alpha",
    "quantization_type": "quantization",
}
"""Arguments in which two trainings by the same method differ, and what they are called."""
SETTINGS = {
    "learning_rate": "learning rate",
    "num_epochs": "epochs",
    "effective_batch_size": "batch size",
    "seed": "seed",
}


def at_the_top(download: Record, train: Record, base: Mapping[str, Any], author: str) -> dict[str, str]:
    """Return model, data, method, author, date, hardware and what training took; unknown ones are left out.

    Args:
        base: of results.json.
    """
    details, metrics, timings = train.details, train.metrics, train.timings
    nodes = details.get("nodes") or 1
    hardware = str(details.get("hardware") or "")
    memory = timings.get("peak_memory_bytes")
    took = [duration(timings["seconds"])] if "seconds" in timings else []
    took += [f"{memory / 2**30:.1f} GiB of memory"] if memory else []
    found = {
        "Base model": " ".join(str(base[key]) for key in ("uri", "revision") if base.get(key)),
        "Data": ", ".join(str(source["uri"]) for source in download.details.get("sources", [])),
        "Method": ", ".join([str(details.get("method") or ""), *named(details, OF_METHOD)]),
        "Training": ", ".join(
            [
                *([counted(int(metrics["steps"]), "step")] if "steps" in metrics else []),
                *named(details, SETTINGS),
            ]
        ),
        "Hardware": f"{nodes} nodes of {hardware}" if hardware and nodes > 1 else hardware,
        "Took": ", ".join(took),
        "Author": author,
        "Date": str(timings.get("ended") or "").partition("T")[0],
    }
    return {label: text for label, text in found.items() if text}


def named(details: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Return settings that a training had, with their names."""
    arguments = details.get("arguments", {})
    return [f"{said} {arguments[name]}" for name, said in names.items() if arguments.get(name) is not None]


def at_the_end(train: Record) -> dict[str, str]:
    """Return further figures of training."""
    metrics = train.metrics
    shown = ("steps", "tokens", "final_loss")
    steps = ", ".join(f"{name.replace('_', ' ')} {metrics[name]:,.6g}" for name in shown if name in metrics)
    return {**({"Steps": steps} if steps else {}), **planned_and_measured(train)}
