"""What can be removed from a workspace: runs that no registered version points to, and unneeded caches."""

import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from osft_workspace import Record, UserError
from osft_workspace.chain import meant, names_of
from osft_workspace.lock import is_held
from osft_workspace.paths import STAGES

RUN, CACHE, HALF = "run", "cache", "left by an earlier prune"
DAYS = 30.0
"""Runs in which nothing was written for so long are old, if nobody says otherwise."""
CACHES = ("cache/models", "cache/tokens", "cache/benchmarks")
"""Of folders on which records rely."""
FACTORS = "cache/osft"
"""Of decompositions, which a training makes again where they are not there."""
REMOVED = ".removed-"
"""Begins the name of a folder that is being removed: a killed prune leaves none that looks complete."""


@dataclass(frozen=True, slots=True)
class Item:
    """A folder that can be removed; `path` is below the workspace."""

    path: str
    what: str
    bytes: int
    written: float
    """When anything in it was written last, in seconds since 1970: by it and the size a change is seen."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be removed, and why the rest is kept."""

    items: Sequence[Item]
    kept: Sequence[str]


def plan(workspace: Path, names: Iterable[str], older: timedelta, active: Collection[str] = ()) -> Plan:
    """Return what can be removed: the named runs, or all that ended before `older`; and unneeded caches.

    A name is a run id or that of a release, which means all its runs: those that must stay are kept.
    `active` names runs that count as running though no stage of them is.
    Raises UserError for a run that does not exist, or must stay though its id was named.
    """
    runs = runs_of(workspace)
    asked = {name: meant(name, runs) for name in names}
    if missing := sorted(name for name, found in asked.items() if not found):
        raise UserError(f"{workspace} has no run {', '.join(missing)}. It has: {', '.join(runs) or 'none'}.")
    wanted = {run for found in asked.values() for run in found}
    reasons = {}
    for name, folder in runs.items():
        if wanted and name not in wanted:
            continue
        reason = reason_to_keep(folder, active)
        if not reason and not wanted and datetime.now(UTC) - newest(folder) < older:
            reason = "is younger than the limit"
        reasons[name] = reason
    reasons |= continued(runs, [name for name, reason in reasons.items() if not reason])
    if refused := [name for name, reason in reasons.items() if reason and name in asked]:
        raise UserError(f"run {refused[0]} {reasons[refused[0]]}, so it is not removed.")
    kept = [f"{name} {reason}" for name, reason in reasons.items() if reason]
    going = [item_of(workspace, runs[name], RUN) for name, reason in reasons.items() if not reason]
    left = left_of(runs, going)
    if any(is_running(folder, active) for folder in left):
        kept.append("caches are kept while a run is running")
    return Plan([*going, *halves(workspace), *unneeded(workspace, left, active, older)], kept)


def remove(
    workspace: Path, shown: Collection[Item], active: Collection[str] = ()
) -> tuple[list[Item], list[Item]]:
    """Remove what a plan showed, as far as it can still be removed and is unchanged.

    Return what was removed, and what was not because it has changed. Raises UserError for a bad record, or
    where something cannot be removed.
    """
    runs = runs_of(workspace)
    asked = {item.path for item in shown if item.what == RUN}
    going = [
        item
        for name, folder in runs.items()
        if f"runs/{name}" in asked and not reason_to_keep(folder, active)
        if (item := item_of(workspace, folder, RUN)) in shown
    ]
    needed = continued(runs, [Path(item.path).name for item in going])
    going = [item for item in going if Path(item.path).name not in needed]
    now = [*going, *halves(workspace), *unneeded(workspace, left_of(runs, going), active, timedelta())]
    gone = [item for item in shown if item in now]
    for item in gone:
        remove_folder(workspace / item.path)
    return gone, [item for item in shown if item not in gone]


def runs_of(workspace: Path) -> dict[str, Path]:
    """Return the runs of a workspace by name."""
    folders = sorted((workspace / "runs").glob("[!.]*"))
    return {folder.name: folder for folder in folders if folder.is_dir()}


def continued(runs: Mapping[str, Path], going: Collection[str]) -> dict[str, str]:
    """Return why runs that would go must stay: a run that stays continues them, and its record names theirs.

    Raises UserError for a bad record.
    """
    before = {name: names_of(Record.load(folder / "download")) for name, folder in runs.items()}
    found: dict[str, str] = {}
    # A chain names all its runs, so that those of a run that stays are known at once.
    for name in runs:
        for needed in before[name] if name not in going else ():
            if needed in going:
                found.setdefault(needed, f"is continued by run {name}")
    return found


def item_of(workspace: Path, folder: Path, what: str) -> Item:
    """Return a folder as what can be removed."""
    stats = [path.lstat() for path in (folder, *folder.rglob("*"))]
    size = sum(one.st_size for one in stats if stat.S_ISREG(one.st_mode))
    return Item(folder.relative_to(workspace).as_posix(), what, size, max(one.st_mtime for one in stats))


def left_of(runs: Mapping[str, Path], going: Iterable[Item]) -> list[Path]:
    """Return the runs that stay."""
    paths = {item.path for item in going}
    return [folder for name, folder in runs.items() if f"runs/{name}" not in paths]


def reason_to_keep(folder: Path, active: Collection[str]) -> str:
    """Return why a run is kept, in words that follow its name; empty if it can be removed."""
    if folder.is_symlink():
        return "is a link"
    if is_running(folder, active):
        return "is running"
    record = Record.load(folder / "register")
    return "is registered" if record and record.details.get("version") else ""


def is_running(folder: Path, active: Collection[str]) -> bool:
    """Return whether a stage of a run holds its lock, or the run counts as running."""
    return folder.name in active or any(is_held(folder / stage / ".lock") for stage in STAGES)


def newest(folder: Path) -> datetime:
    """Return when anything in a run's stages was written last."""
    times = [path.stat().st_mtime for stage in STAGES for path in (folder / stage).glob("*")]
    return datetime.fromtimestamp(max(times, default=folder.stat().st_mtime), UTC)


def halves(workspace: Path) -> Iterator[Item]:
    """Yield what an earlier prune, which was killed, left of folders."""
    for place in ("runs", *CACHES, FACTORS):
        for path in sorted((workspace / place).glob(f"{REMOVED}*")):
            yield item_of(workspace, path, HALF)


def unneeded(workspace: Path, runs: Sequence[Path], active: Collection[str], older: timedelta) -> list[Item]:
    """Return the cached folders on which no record of these runs relies, and decompositions last used before.

    None while one of the runs is running. Raises UserError for a bad record.
    """
    needed: set[str] = set()
    for folder in runs:
        if is_running(folder, active):
            return []
        for stage in STAGES:
            record = Record.load(folder / stage)
            needed |= set(record.shared) if record else set()
    found = [item for cache in CACHES for item in folders(workspace, cache) if item.path not in needed]
    before = (datetime.now(UTC) - older).timestamp()
    return [*found, *(item for item in folders(workspace, FACTORS) if item.written <= before)]


def folders(workspace: Path, cache: str) -> Iterator[Item]:
    """Yield the folders of one cache."""
    for path in sorted((workspace / cache).glob("[!.]*")):
        if path.is_dir() and not path.is_symlink():
            yield item_of(workspace, path, CACHE)


def remove_folder(path: Path) -> None:
    """Remove a folder; it is renamed first, so that a half removed one is not taken for complete.

    Raises UserError where that is not allowed.
    """
    try:
        if not path.name.startswith(REMOVED):
            path = path.rename(path.with_name(f"{REMOVED}{path.name}"))
        shutil.rmtree(path)
    except OSError as error:
        raise UserError(
            f"{error.filename or path} cannot be removed ({error.strerror}). Check its permissions, then run "
            "the same command again: it removes what is left."
        ) from error
