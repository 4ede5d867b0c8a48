"""The runs in a workspace of this machine, from their records."""

from pathlib import Path

from osft_ops.pruning import newest
from osft_pipeline.local import figures
from osft_pipeline.local.failures import Failure, failure_of
from osft_pipeline.local.records import Json, read
from osft_pipeline.local.summary import STAGES
from osft_workspace.lock import is_held


def runs(workspace: Path) -> list[Json]:
    """Return every run of a workspace with the keys of `osft runs --json`."""
    folders = sorted((workspace / "runs").glob("[!.]*")) if (workspace / "runs").is_dir() else []
    return [row for folder in folders if folder.is_dir() and (row := run(folder))]


def run(folder: Path) -> Json | None:
    """Return one run, or None for a folder in which no stage has begun."""
    records = {stage: found for stage in STAGES if (found := read(folder / stage / "record.json"))}
    begun = [stage for stage in STAGES if (folder / stage).is_dir()]
    failure = failure_of(folder)
    if not begun and failure is None:
        return None
    now = state(folder, records, failure)
    results = read(folder / "eval" / "results.json") if "eval" in records else {}
    return {
        "run": folder.name,
        "where": "local",
        "parent": parent(records.get("download") or {}),
        "state": now,
        "stage": failure.stage if failure and now == "failed" else begun[-1] if begun else None,
        "finished": last_end(records),
        "changed": newest(folder).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": reason(records, failure if now == "failed" else None),
        **measured(results),
        "version": ((records.get("register") or {}).get("details") or {}).get("url"),
        "bytes": sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()),
    }


def parent(download: Json) -> str | None:
    """Return the run whose model a run tuned; None for one that continues no other."""
    links = ((download.get("details") or {}).get("chain") or {}).get("links") or []
    return str(links[-1]["run"]) if links else None


def state(folder: Path, records: Json, failure: Failure | None) -> str:
    """Return done, refused, running, failed or incomplete."""
    found = figures.state(records, failure)
    held = found != "refused" and any(is_held(folder / stage / ".lock") for stage in STAGES)
    return "running" if held else found


def reason(records: Json, failure: Failure | None) -> str | None:
    """Return why a run failed or its gate did; None for any other."""
    refused = [str(record["message"]) for record in records.values() if record["status"] == "refused"]
    return failure.sentence() if failure else next(iter(refused), None)


def last_end(records: Json) -> str | None:
    """Return when the last finished stage ended, as ISO 8601."""
    ends = [str(record["timings"].get("ended", "")) for record in records.values()]
    return max(ends, default="") or None


def measured(results: Json) -> Json:
    """Return held-out losses, and change of the retention suite, and the verdict on all; None for unknown."""
    loss = (results.get("holdout") or {}).get("loss") or {}
    groups = [group for group in (results.get("groups") or {}).values() if len(group["tasks"]) > 1]
    suite = groups[0] if groups else {}
    return {
        "baseLoss": loss.get("base"),
        "tunedLoss": loss.get("tuned"),
        "retentionPoints": round(100 * suite["delta"], 2) if suite else None,
        "verdict": (results.get("summary") or {}).get("verdict") or suite.get("verdict"),
    }
