"""Several tasks in a row: which model an earlier run left for the next one, and the runs before it.

A run that continues another one records the whole chain in the details of its download, oldest link first.
Each link names a run, the digests of its records and of its model, and where its held-out rows lie.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from osft_workspace.digests import tree_digest
from osft_workspace.exits import UserError
from osft_workspace.files import is_folder
from osft_workspace.links import Chain, ChainRows, Link
from osft_workspace.lock import is_held
from osft_workspace.paths import RUN_ID, STAGES, Workspace
from osft_workspace.predecessors import open_record
from osft_workspace.record import Record, is_below
from osft_workspace.text import excerpt, printable
from osft_workspace.tuned import Tuned

HASH = "[0-9a-f]{8}"
"""What the chart puts behind the name of a release to make a run id."""
LEFT = ("download", "train", "eval")
"""Stages that decide which model a run leaves."""
SHOWN = 12
"""Runs in a sentence."""


class Unusable(Exception):
    """A run that cannot be continued; the text follows its name."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The run that is continued."""

    run: str
    model: Path
    """Folder of the model that goes on."""
    chain: Chain


def meant(name: str, runs: Mapping[str, Any] | list[str]) -> list[str]:
    """Return the runs that a name means: the run of that id, otherwise all runs of the release."""
    return [name] if name in runs else [run for run in runs if re.fullmatch(f"{re.escape(name)}-{HASH}", run)]


def find_parent(workspace: Workspace, run_id: str, asked: str) -> Parent:
    """Return the run that another one continues, with its model verified.

    Args:
        run_id: the run that continues; neither it nor a run that came after it can be meant.
        asked: a run id, or the name of a release, of which the newest finished run is meant.

    Raises:
        UserError: the run does not exist, is not finished, failed its gate or left an adapter, or its model
            is not what its records say.
    """
    runs = runs_in(workspace)
    named = meant(asked, runs)
    usable: list[tuple[str, str, dict[str, Record]]] = []
    for name in named:
        try:
            records = finished_before(workspace, name, run_id)
            usable.append((str(last(records).timings.get("ended", "")), name, records))
        except Unusable as reason:
            if name == asked:
                raise UserError(
                    f"model.fromRun is '{printable(asked)}', and that run {reason}. {listed(workspace, runs)}"
                ) from reason
    if not usable:
        found = (
            f"no run of that release that is finished ({states(workspace, named)})"
            if named
            else "no such run"
        )
        raise UserError(
            f"model.fromRun is '{printable(asked)}', and the workspace {workspace.root} has {found}. "
            f"{listed(workspace, runs)}"
        )
    _, name, records = max(usable, key=lambda found: found[:2])
    return parent_of(workspace, name, records, asked)


def runs_in(workspace: Workspace) -> list[str]:
    """Return the ids of the runs of a workspace."""
    folder = workspace.root / "runs"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [name for name in names if RUN_ID.fullmatch(name)]


def finished_before(workspace: Workspace, run: str, run_id: str) -> dict[str, Record]:
    """Return as `finished`. Raises Unusable also for `run_id` itself and a run that continues it."""
    if run == run_id:
        raise Unusable("is this run itself. Name an earlier one")
    records = finished(workspace, run)
    if run_id in names_of(records["download"]):
        raise Unusable("continues this run itself. Name an earlier one")
    return records


def finished(workspace: Workspace, run: str) -> dict[str, Record]:
    """Return the records that say which model a run left.

    Raises:
        Unusable: the run is not finished, or a gate of it failed.
        UserError: a record cannot be read.
    """
    if any(is_held(workspace.stage_dir(run, stage) / ".lock") for stage in LEFT):
        raise Unusable("is running. Wait until it is finished")
    found = {stage: record for stage in STAGES if (record := open_record(workspace, run, stage))}
    for stage, record in found.items():
        if record.status == "refused":
            raise Unusable(f"failed the gate of {stage} ({record.message.rstrip('.')}). Continue another run")
    register = found.pop("register", None)
    # Only registration knows that a run is not evaluated.
    unjudged = register is not None and register.inputs.get("eval") is False
    for stage in LEFT[: 2 if unjudged else 3]:
        if stage not in found:
            raise Unusable(
                f"is not finished: it has no record of {stage}. Start it again until it is finished"
            )
    for stage, record in found.items():
        for name, digest in record.needs.items():
            if name not in found or found[name].digest != digest:
                raise Unusable(
                    f"is not whole: its {stage} was made from another result of {name}. Start it again"
                )
    return found


def names_of(download: Record | None) -> list[str]:
    """Return the runs that a run's chain names, oldest first; none for a run that continues no other."""
    chain = download.details.get("chain") if download and download.stage == "download" else None
    return [str(link["run"]) for link in chain["links"]] if chain else []


def last(records: Mapping[str, Record]) -> Record:
    """Return the record that names the model that goes on."""
    return records.get("eval") or records["train"]


def parent_of(workspace: Workspace, run: str, records: Mapping[str, Record], asked: str) -> Parent:
    """Return a finished run as a parent. Raises UserError for an adapter, and for a changed model."""
    model, tuned = last(records).details["model"], Tuned.of(last(records).details)
    if tuned.base:
        raise UserError(
            f"run {run} (model.fromRun) left an adapter that was not merged ({tuned.path}; train.lora.merge "
            "is false), expected a whole model, which training needs. Run it again with train.lora.merge: "
            "true, or continue another run."
        )
    folder, of = workspace.run_dir(run) / tuned.path, f"the model of run {run} (model.fromRun)"
    remedy = "Start that run again, or continue another one."
    if not is_folder(folder):
        raise UserError(f"{of} is gone: there is no {folder}. {remedy}")
    if tree_digest(folder) != model["digest"]:
        raise UserError(
            f"{of} is not the one in its record: the files in {folder} have another digest than "
            f"{excerpt(model['digest'])}. {remedy}"
        )
    links = [*earlier_links(records["download"]), link_of(run, records)]
    return Parent(run, folder, {"asked": asked, "links": links})


def earlier_links(download: Record) -> list[Link]:
    """Return the links of a run's own chain."""
    chain = download.details.get("chain")
    return cast("list[Link]", list(chain["links"])) if chain else []


def link_of(run: str, records: Mapping[str, Record]) -> Link:
    """Return what the chain keeps of a run."""
    download, judged = records["download"], records.get("eval")
    base, model = download.details["model"], last(records).details["model"]
    tokens = download.details["tokens"]["path"]
    rows: ChainRows = {
        "path": tokens,
        "digest": download.shared.get(tokens, ""),
        "rows": download.details["rows"].get("eval", 0),
    }
    results = [out["sha256"] for out in judged.outputs if out["path"] == "results.json"] if judged else []
    return {
        "run": run,
        "base": {key: base.get(key) for key in ("uri", "revision", "digest", "license")},  # type: ignore[typeddict-item]
        "model": {key: model[key] for key in ("path", "digest", "share") if key in model},  # type: ignore[typeddict-item]
        "records": {stage: record.digest for stage, record in records.items()},
        "results": "".join(results),
        "rows": rows,
        "sources": [str(source["uri"]) for source in download.details["sources"]],
    }


def check_link(workspace: Workspace, link: Mapping[str, Any]) -> str:
    """Return what became of a run of a chain: empty where its records are those that the link names."""
    for stage, digest in link["records"].items():
        record = open_record(workspace, link["run"], stage)
        if record is None:
            return f"its record of {stage} is gone"
        if record.digest != digest:
            return f"its record of {stage} is another one: the run was made again"
    return ""


def listed(workspace: Workspace, runs: list[str]) -> str:
    """Return the runs of a workspace and their states, as a sentence."""
    if not runs:
        return (
            "It has no run. A run is continued in its own workspace: set workspace.existingClaim to the "
            "claim of that run (osft run --continue does), or correct model.fromRun."
        )
    return f"Runs there: {states(workspace, runs)}. Set model.fromRun to one that is finished."


def states(workspace: Workspace, runs: list[str]) -> str:
    """Return runs with a word for each, the last ones by name."""
    words = [f"{run} ({state(workspace, run)})" for run in runs[-SHOWN:]]
    more = [f"{len(runs) - SHOWN} more"] if len(runs) > SHOWN else []
    return ", ".join([*words, *more])


def state(workspace: Workspace, run: str) -> str:
    """Return `finished`, or in a few words why a run cannot be continued."""
    try:
        finished(workspace, run)
    except Unusable as reason:
        return re.split(r"[.(:]", str(reason))[0].strip()
    except UserError:
        return "has a record that cannot be read"
    return "finished"


def rows_in(workspace: Workspace, links: Iterable[Link]) -> Iterator[tuple[Link, str]]:
    """Yield each link with why its held-out rows cannot be used; empty where they are there and unchanged."""
    for link in links:
        rows = link["rows"]
        folder = workspace.root / rows["path"]
        if not is_below(rows["path"]):
            yield link, "its record names no folder of the workspace"
        elif not rows["rows"]:
            yield link, "no rows were held out"
        elif not rows["digest"] or not is_folder(folder):
            yield link, f"{rows['path']} is gone"
        elif tree_digest(folder) != rows["digest"]:
            yield link, f"{rows['path']} was changed"
        else:
            yield link, ""
