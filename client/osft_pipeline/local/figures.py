"""The figures of a run as one JSON object: what `osft report --json` prints."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from osft_pipeline.local.failures import Failure
from osft_pipeline.local.records import Json
from osft_pipeline.local.summary import records_of
from osft_workspace.tuned import Tuned


def as_object(run_dir: Path, shown: Callable[[Path], str], results: Json, failure: Failure | None) -> Json:
    """Return a run with the documented keys; `shown` says where a path below its folder lies."""
    records = records_of(run_dir)
    results = results if "eval" in records else {}
    model = Tuned.of_run(records)
    details = (records.get("register") or {}).get("details") or {}
    return {
        "run": run_dir.name,
        "state": state(records, failure),
        "failure": asdict(failure) if failure else None,
        "stages": {name: stage(record) for name, record in records.items()},
        "model": shown(run_dir / model.path) if model else None,
        "report": shown(run_dir / "eval" / "report.html") if results else None,
        "version": details.get("url"),
        "results": results or None,
    }


def state(records: dict[str, Json], failure: Failure | None) -> str:
    """Return how far a run came, by its records."""
    if any(record["status"] == "refused" for record in records.values()):
        return "refused"
    if failure:
        return "failed"
    return "done" if {"eval", "register"} & records.keys() else "incomplete"


def stage(record: Json) -> Json:
    """Return what a stage's record says of its end."""
    timings = record["timings"]
    return {
        "status": record["status"],
        "message": record.get("message") or None,
        "seconds": timings["seconds"],
        "peakMemoryBytes": timings.get("peak_memory_bytes") or None,
    }
