"""The runs in a workspace of this machine, from their records."""

from pathlib import Path

from osft_pipeline.local.records import Json, read
from osft_pipeline.local.summary import STAGES
from osft_workspace.lock import is_held


def runs(workspace: Path) -> list[Json]:
    """Return every run of a workspace, newest first, with the keys of `osft runs --json`."""
    folders = sorted((workspace / "runs").glob("[!.]*")) if (workspace / "runs").is_dir() else []
    found = [row for folder in folders if folder.is_dir() and (row := run(folder))]
    return sorted(found, key=lambda row: str(row["finished"]), reverse=True)


def run(folder: Path) -> Json | None:
    """Return one run, or None for a folder in which no stage has begun."""
    records = {stage: found for stage in STAGES if (found := read(folder / stage / "record.json"))}
    begun = [stage for stage in STAGES if (folder / stage).is_dir()]
    if not begun:
        return None
    results = read(folder / "eval" / "results.json") if "eval" in records else {}
    return {
        "run": folder.name,
        "where": "local",
        "state": state(folder, records),
        "stage": begun[-1],
        "finished": last_end(records),
        **figures(results),
        "version": ((records.get("register") or {}).get("details") or {}).get("url"),
        "bytes": sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()),
    }


def state(folder: Path, records: Json) -> str:
    """Return done, refused, running or incomplete."""
    if any(record["status"] == "refused" for record in records.values()):
        return "refused"
    if any(is_held(folder / stage / ".lock") for stage in STAGES):
        return "running"
    return "done" if "eval" in records or "register" in records else "incomplete"


def last_end(records: Json) -> str | None:
    """Return when the last finished stage ended, as ISO 8601."""
    ends = [str(record["timings"].get("ended", "")) for record in records.values()]
    return max(ends, default="") or None


def figures(results: Json) -> Json:
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
