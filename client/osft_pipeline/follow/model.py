"""A run as it is shown: data only."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, overload

from osft_pipeline.kubectl import Json
from osft_pipeline.terminal import plain

State = Literal[
    "waiting",  # for the stage before
    "queued",  # suspended by Kueue or by queue.suspend
    "pending",  # its turn has come and its pod does not run yet
    "running",
    "retrying",  # an attempt failed and the next one has no pod yet
    "done",
    "failed",
    "refused",  # the gate failed
    "stopped",  # it, or what would start it, was removed
    "not started",  # the run ended before
]
ENDED = ("done", "failed", "refused", "stopped")

DONE, BUG, USER, REFUSED, TRANSIENT = 0, 1, 2, 3, 75


@dataclass(kw_only=True, slots=True)
class Progress:
    """What a stage logged last about its work."""

    what: str
    done: float | None = None
    total: float | None = None
    unit: str = ""
    left: str = ""
    """Time left, as the stage writes it."""
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float | None:
        """Return the part that is done, 0 to 1, if the stage counts."""
        return self.done / self.total if self.done is not None and self.total else None

    def to_json(self) -> Json:
        """Return the object of --json."""
        share = self.share
        return {
            "what": self.what,
            "done": self.done,
            "total": self.total,
            "unit": self.unit or None,
            "percent": round(100 * share, 1) if share is not None else None,
            "left": self.left or None,
            "fields": self.fields,
        }


@dataclass(kw_only=True, slots=True)
class Pod:
    """One pod of a stage."""

    name: str
    rank: int
    state: Literal["pending", "running", "done", "failed", "ending"]
    node: str
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    container: str = ""
    """The init container that is not done, or one of preflight's two; empty: the stage's own."""
    lost: bool = False
    """Removed by the cluster: drained, preempted, its node lost."""

    @property
    def alive(self) -> bool:
        """Return whether the pod has not ended."""
        return self.state in ("pending", "running")

    def to_json(self) -> Json:
        """Return the object of --json."""
        return {
            "name": self.name,
            "rank": self.rank,
            "state": self.state,
            "node": self.node or None,
            "exitCode": self.exit_code,
        }


@dataclass(kw_only=True, slots=True)
class Stage:
    """One stage of a run."""

    name: str
    state: State = "waiting"
    attempt: int = 0
    attempts: int = 0
    """Largest number of attempts; 0 if unknown."""
    pod: Pod | None = None
    """The pod to show: the failed one, otherwise rank 0 of the newest attempt."""
    others: list[Pod] = field(default_factory=list)
    """The other pods of the same attempt."""
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    """One word of the cluster, such as Unschedulable or OOMKilled."""
    message: str = ""
    already_done: bool = False
    progress: Progress | None = None
    curves: list[tuple[str, str]] = field(default_factory=list)
    """Losses of a training that runs: name, and a line of blocks."""
    log: list[str] = field(default_factory=list)
    """Last lines of the pod's log, while it runs and if it failed."""
    owner: str = ""
    """Object whose events say why the pod does not exist."""

    def seconds(self, now: datetime) -> float | None:
        """Return how long the stage took, or has taken so far."""
        if self.started is None:
            return None
        return max(((self.finished or now) - self.started).total_seconds(), 0.0)

    def to_json(self, now: datetime) -> Json:
        """Return the object of --json."""
        seconds = self.seconds(now)
        return {
            "name": self.name,
            "state": self.state,
            "alreadyDone": self.already_done,
            "attempt": self.attempt or None,
            "attempts": self.attempts or None,
            "pod": self.pod.name if self.pod else None,
            "node": (self.pod.node if self.pod else "") or None,
            "pods": [pod.to_json() for pod in ([self.pod] if self.pod else []) + self.others],
            "started": iso(self.started),
            "finished": iso(self.finished),
            "seconds": round(seconds) if seconds is not None else None,
            "exitCode": self.exit_code,
            "reason": self.reason or None,
            "message": self.message or None,
            "progress": self.progress.to_json() if self.progress and self.state == "running" else None,
            "log": [plain(line) for line in self.log],
        }


@dataclass(kw_only=True, slots=True)
class Run:
    """A run: its release, its stages, its state."""

    release: str
    id: str
    namespace: str
    ordering: str
    """cluster or hooks; empty while only preflight exists, which does not say."""
    trainjob: str
    started: datetime
    stages: list[Stage]
    state: State = "waiting"
    exit_code: int | None = None
    """None while it has not ended."""
    finished: datetime | None = None
    message: str = ""
    notes: list[str] = field(default_factory=list)
    abandoned: bool = False
    """Ordering hooks: helm, which starts each stage, has ended."""

    @property
    def ended(self) -> bool:
        """Return whether the run has ended."""
        return self.exit_code is not None

    @property
    def current(self) -> Stage | None:
        """Return the first stage that is not done; None when all are done."""
        return next((stage for stage in self.stages if stage.state != "done"), None)

    @property
    def culprit(self) -> Stage | None:
        """Return the stage that ended the run."""
        return next((stage for stage in self.stages if stage.state in ("failed", "refused", "stopped")), None)

    def seconds(self, now: datetime) -> float:
        """Return how long the run took, or has taken so far, with all its waiting."""
        return max(((self.finished or now) - self.started).total_seconds(), 0.0)

    def to_json(self, now: datetime) -> Json:
        """Return the object of --json."""
        return {
            "release": self.release,
            "run": self.id,
            "namespace": self.namespace,
            "ordering": self.ordering or None,
            "trainJob": self.trainjob or None,
            "state": self.state,
            "exitCode": self.exit_code,
            "message": self.message or None,
            "started": iso(self.started),
            "finished": iso(self.finished),
            "seconds": round(self.seconds(now)),
            "stages": [stage.to_json(now) for stage in self.stages],
            "notes": self.notes,
        }


def iso(time: datetime | None) -> str | None:
    """Return a time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


@overload
def when(text: str) -> datetime: ...
@overload
def when(text: str | None) -> datetime | None: ...
def when(text: str | None) -> datetime | None:
    """Return a time that Kubernetes wrote."""
    return datetime.fromisoformat(text) if text else None
