"""Running a stage: lock, predecessors, "already done", the work, the record."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from osft_workspace import aside, log
from osft_workspace.aside import LOCK
from osft_workspace.asked import asked_digests, asked_value
from osft_workspace.digests import digest_json
from osft_workspace.exits import Refused, UserError
from osft_workspace.files import check_regular
from osft_workspace.lock import exclusive
from osft_workspace.memory import PeakMemory
from osft_workspace.paths import Workspace
from osft_workspace.predecessors import check_replaceable, load_predecessor, open_record
from osft_workspace.publish import make_durable
from osft_workspace.record import FILE, Record, Status, list_outputs
from osft_workspace.redact import redact_text, redact_value
from osft_workspace.termination import say_end
from osft_workspace.text import sentence


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a stage leaves behind."""

    outputs: list[str]
    """Files or folders in `Run.dir`."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Folders of the cache that the outputs rely on: path in the workspace -> tree digest."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    status: Status = "done"
    message: str = "done"
    after: Callable[[], None] | None = None
    """What may happen only once the record is there, such as clean-up; nothing in it changes the result."""


@dataclass(slots=True)
class Run:
    """What a stage's body may use while it holds the stage's lock."""

    stage: str
    run_id: str
    workspace: Workspace
    home: Path
    """The stage's folder, with the result that is published and what starts leave for each other."""
    predecessors: dict[str, Record]
    choices: list[dict[str, Any]] = field(default_factory=list)

    @property
    def dir(self) -> Path:
        """Where this start makes its result; it takes the published one's place when it is whole."""
        return self.home / aside.UNFINISHED

    @property
    def needs(self) -> dict[str, str]:
        """Digest of each predecessor's record."""
        return {name: record.digest for name, record in self.predecessors.items()}

    def event(self, what: str, **fields: Any) -> None:
        """Log one event of this stage."""
        log.event(self.stage, what, **fields)

    def choice(self, name: str, value: Any, reason: str) -> None:
        """Log an automatic choice with its reason, and keep it for the record."""
        self.choices.append({"name": name, "value": value, "reason": reason})
        self.event(f"chose {name}", value=value, reason=reason)

    def progress(self, what: str, *, total: float | None, unit: str) -> log.Progress:
        """Progress of one piece of this stage's work."""
        return log.Progress(self.stage, what, total=total, unit=unit)


def open_stage_dir(workspace: Workspace, run_id: str, stage: str) -> Path:
    """Make the stage's folder.

    Raises:
        UserError: the workspace is not mounted or not writable for this uid, or a link leads out of it.
    """
    folder = workspace.stage_dir(run_id, stage)
    if not workspace.root.is_dir():
        raise UserError(
            f"there is no workspace at {workspace.root}. Mount the volume there or pass --workspace."
        )
    workspace.own_stage_dir(run_id, stage)
    workspace.check_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_regular(folder / LOCK, "the lock of this stage")
        (folder / LOCK).touch()
    except PermissionError as error:
        groups = sorted({os.getgid(), *os.getgroups()})
        raise UserError(
            f"uid {os.getuid()} with groups {groups} cannot write to {error.filename}. The volume must be "
            "writable by group 0 (mode 2775), or set a pod security context that fits it."
        ) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"{error.filename} is not a folder, expected the folder of run {run_id}. Remove it, or use "
            "another run id."
        ) from error
    return folder


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a stage was asked for, to show and to compare."""

    shown: dict[str, Any]
    asked: dict[str, str]
    """Digest of each input."""
    digest: str
    """Digest of all inputs and of the predecessors' records."""

    @classmethod
    def of(cls, inputs: Mapping[str, Any], needs: Mapping[str, str]) -> Self:
        """Return the inputs of a stage. Raises UserError for what no record can hold."""
        asked = asked_digests(inputs)
        return cls(redact_value(dict(inputs)), asked, digest_json([asked_value(inputs), needs]))

    def changed(self, record: Record) -> list[str]:
        """Return names of the inputs that an earlier record was not made from."""
        now, before = (self.asked, record.asked) if record.asked else (self.shown, record.inputs)
        return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def already_done(run: Run, inputs: Inputs) -> Record | None:
    """The stage's own record when it is for these inputs and its files are whole; logs why when it is not."""
    record = open_record(run.workspace, run.run_id, run.stage)
    if record is None:
        return None
    if record.inputs_digest != inputs.digest:
        changed = ",".join(inputs.changed(record)) or "an earlier stage"
        run.event("inputs changed, running again", changed=changed)
        return None
    damage = record.damage(run.workspace.root)
    if damage:
        run.event("result damaged, running again", seen=damage)
        (run.home / FILE).unlink()  # other nodes of this stage believe a record
        return None
    record.check_closed()
    run.event("already done", run=run.run_id, status=record.status, message=record.message)
    return record


def run_stage(
    stage: str,
    workspace_root: Path,
    run_id: str,
    *,
    inputs: Mapping[str, Any],
    needs: tuple[str, ...],
    body: Callable[[Run], Outcome],
    keep: tuple[str, ...] = (),
    overwrite: bool = True,
) -> Record:
    """Run one stage once, however often it is started.

    Args:
        inputs: what decides the result, JSON-able; compared as asked, kept without secret parts of addresses.
        needs: stages whose records must be done and whole.
        body: the work; it writes below `run.dir` and says what it left. An earlier result stays until then.
        keep: names in the stage's folder that starts leave for each other, such as checkpoints.
        overwrite: whether other inputs may replace a result that a registered version comes from.

    Raises:
        UserError, Refused, Transient: see `exits`.
    """
    workspace = Workspace(workspace_root.resolve())
    folder = open_stage_dir(workspace, run_id, stage)
    with exclusive(
        folder / LOCK, lambda s: log.event(stage, "waiting for another start of this stage", seconds=round(s))
    ):
        aside.settle(folder, keep)
        predecessors = {name: load_predecessor(workspace, run_id, name) for name in needs}
        run = Run(stage, run_id, workspace, folder, predecessors)
        asked = Inputs.of(inputs, run.needs)
        record = already_done(run, asked)
        if record is None and not overwrite:
            check_replaceable(workspace, run_id, stage)
        record = record or work(run, body, asked, keep)
    if record.status == "refused":
        raise Refused(record.message)
    say_end(record.message)
    return record


def work(run: Run, body: Callable[[Run], Outcome], inputs: Inputs, keep: tuple[str, ...]) -> Record:
    """Do the work aside and publish its result."""
    aside.begin(run.home, keep)
    run.event("start", run=run.run_id)
    started, clock = datetime.now(UTC), time.monotonic()
    with PeakMemory() as memory:
        outcome = body(run)
    make_durable(run.dir)
    outputs = list_outputs(run.dir, outcome.outputs)
    record = Record(
        stage=run.stage,
        status=outcome.status,
        run_id=run.run_id,
        message=sentence(redact_text(outcome.message)),
        inputs=inputs.shown,
        inputs_digest=inputs.digest,
        asked=inputs.asked,
        needs=run.needs,
        outputs=outputs,
        shared=dict(outcome.shared),
        metrics=dict(outcome.metrics),
        details=redact_value(dict(outcome.details)),
        choices=redact_value(run.choices),
        versions={"python": platform.python_version(), **outcome.versions},
        timings={
            "started": started.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
            "peak_memory_bytes": memory.bytes,
        },
        dir=run.dir,
    )
    record.publish()
    aside.settle(run.home, keep)
    record.dir = run.home
    run.event(record.status, seconds=record.timings["seconds"], message=record.message)
    if outcome.after:
        clean_up(run, outcome.after)
    return record


def clean_up(run: Run, after: Callable[[], None]) -> None:
    """Tidy up behind a published record; a stage that is finished stays finished when that fails."""
    try:
        after()
    except Exception as error:
        run.event("could not clean up", seen=f"{type(error).__name__}: {error}")
