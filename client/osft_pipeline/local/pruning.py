"""What can be removed from a workspace: runs that no registered version points to, and unneeded caches."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from osft_pipeline.local.listing import is_held
from osft_pipeline.local.records import read
from osft_workspace import Record, UserError
from osft_workspace.paths import STAGES

CACHES = ("cache/models", "cache/tokens")
REMOVED = ".removed-"
"""Begins the name of a folder that is being removed: a killed prune leaves none that looks complete."""


@dataclass(frozen=True, slots=True)
class Item:
    """A folder that can be removed."""

    path: Path
    what: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be removed, and why the rest is kept."""

    items: Sequence[Item]
    kept: Sequence[str]


def plan(workspace: Path, names: Iterable[str], older: timedelta) -> Plan:
    """Return what can be removed: the named runs, or all that ended before `older`; and unneeded caches.

    Raises UserError for a run that does not exist, or must stay though it was named.
    """
    runs = {folder.name: folder for folder in sorted((workspace / "runs").glob("[!.]*")) if folder.is_dir()}
    wanted = set(names)
    if missing := sorted(wanted - set(runs)):
        raise UserError(f"{workspace} has no run {', '.join(missing)}. It has: {', '.join(runs) or 'none'}.")
    going, kept = [], []
    for name, folder in runs.items():
        if wanted and name not in wanted:
            continue
        reason = reason_to_keep(folder, name in wanted, None if wanted else older)
        if reason and name in wanted:
            raise UserError(f"run {name} {reason}, so it is not removed.")
        if reason:
            kept.append(f"{name} {reason}")
        else:
            going.append(name)
    items = [Item(runs[name], "run", size(runs[name])) for name in going]
    for place in ("runs", *CACHES):
        halves = (workspace / place).glob(f"{REMOVED}*")
        items += [Item(path, "left by an earlier prune", size(path)) for path in halves]
    left = [folder for name, folder in runs.items() if name not in going]
    if any(is_running(folder) for folder in left):
        kept.append("caches are kept while a run is running")
    else:
        items += [Item(path, "cache", size(path)) for path in unneeded(workspace, left)]
    return Plan(items, kept)


def reason_to_keep(folder: Path, named: bool, older: timedelta | None) -> str:
    """Return why a run is kept, in words that follow its name; empty if it can be removed."""
    if is_running(folder):
        return "is running"
    if (read(folder / "register" / "record.json").get("details") or {}).get("url"):
        return "is registered"
    if older is not None and datetime.now(UTC) - newest(folder) < older:
        return "is younger than the limit"
    return ""


def is_running(folder: Path) -> bool:
    """Return whether a stage of a run holds its lock."""
    return any(is_held(folder / stage / ".lock") for stage in STAGES)


def newest(folder: Path) -> datetime:
    """Return when anything in a run's stages was written last."""
    times = [path.stat().st_mtime for stage in STAGES for path in (folder / stage).glob("*")]
    return datetime.fromtimestamp(max(times, default=folder.stat().st_mtime), UTC)


def unneeded(workspace: Path, runs: Iterable[Path]) -> list[Path]:
    """Return the cached folders on which no record of these runs relies. Raises UserError for a bad one."""
    needed: set[str] = set()
    for folder in runs:
        for stage in STAGES:
            record = Record.load(folder / stage)
            needed |= set(record.shared) if record else set()
    found = [path for cache in CACHES for path in sorted((workspace / cache).glob("[!.]*")) if path.is_dir()]
    return [path for path in found if path.relative_to(workspace).as_posix() not in needed]


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def remove(item: Item) -> None:
    """Remove a folder; it is renamed first, so that a half removed one is not taken for complete."""
    path = item.path
    if not path.name.startswith(REMOVED):
        path = path.rename(path.with_name(f"{REMOVED}{path.name}"))
    shutil.rmtree(path)
