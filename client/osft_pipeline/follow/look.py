"""One look at the cluster: the objects of a run, then only the logs and events that they do not replace."""

import time
from datetime import UTC, datetime

from osft_pipeline.follow.model import Run, Stage
from osft_pipeline.follow.objects import runs_of
from osft_pipeline.follow.runs import run_of
from osft_pipeline.follow.stages import Said, asks_events_of
from osft_pipeline.kubectl import Kubectl

RUNNING_LINES = 20
FIRST_LINES = 2000
"""Of a pod that is seen for the first time: its losses so far are drawn."""
FAILED_LINES = 15
DONE_LINES = 3
HELM_EVERY_SECONDS = 10.0


class Look:
    """Looks at one release again and again; without a run id at its newest run."""

    def __init__(self, kubectl: Kubectl, release: str, run_id: str | None) -> None:
        self.kubectl, self.release, self.run_id = kubectl, release, run_id
        self.said = Said()
        self.began = datetime.min.replace(tzinfo=UTC)
        self.helm_asked = -HELM_EVERY_SECONDS
        self.read_to_the_end: set[str] = set()
        self.known: list[str] = []
        """Runs of the release, newest first, at the last look."""

    def once(self) -> Run | None:
        """Return the run as it stands now; None while it has no objects. Raises UserError or Transient."""
        run = self.see()
        if run and run.abandoned:
            # Helm may have continued since the objects were read: its status is read before them now.
            self.ask_helm()
            run = self.see()
        if run:
            run.notes += [
                f"you may not list {kind} here, so their state is missing" for kind in self.kubectl.refused
            ]
        return run

    def see(self) -> Run | None:
        """Return the run from its present objects and from all that was read before."""
        things = self.kubectl.objects(self.release)
        began = runs_of(things)
        self.known = sorted(began, key=lambda run: began[run], reverse=True)
        run_id = self.run_id or next(iter(self.known), "")
        # Between two objects of an upgrade the newest run may be the one before: never go back to it.
        if run_id not in began or (not self.run_id and began[run_id] < self.began):
            return None
        self.began = began[run_id]
        run = run_of(self.release, run_id, things, self.said, datetime.now(UTC))
        if self.ask(run):
            run = run_of(self.release, run_id, things, self.said, datetime.now(UTC))
        return run

    def ask(self, run: Run) -> bool:
        """Read what the objects do not say; return whether there was anything to read."""
        asked = [self.ask_log(stage) for stage in run.stages]
        now = datetime.now(UTC)
        for stage in run.stages:
            if name := asks_events_of(stage, now):
                self.said.hindrances[name] = self.kubectl.hindrance(name)
                asked.append(True)
        if any(stage.reason == "Queued" for stage in run.stages):
            self.said.workloads = self.kubectl.workloads()
            asked.append(True)
        if self.helm_matters(run):
            self.ask_helm()
            asked.append(True)
        return any(asked)

    def ask_helm(self) -> None:
        """Read helm's status of the release."""
        self.helm_asked = time.monotonic()
        self.said.helm = self.kubectl.helm_status(self.release)

    def ask_log(self, stage: Stage) -> bool:
        """Read the end of a pod's log: always while it runs, once after."""
        if stage.pod is None or stage.state in ("waiting", "queued", "pending", "retrying"):
            return False
        name = stage.pod.name
        running = RUNNING_LINES if name in self.said.logs else FIRST_LINES
        lines = {"running": running, "done": DONE_LINES}.get(stage.state, FAILED_LINES)
        if name in self.read_to_the_end:
            return False
        if stage.state != "running":
            self.read_to_the_end.add(name)
        # A pod that went with its Job has no log any more: what was read while it ran stays.
        self.said.logs[name] = self.kubectl.log(name, stage.pod.container, lines) or self.said.logs.get(
            name, []
        )
        return True

    def helm_matters(self, run: Run) -> bool:
        """Return whether the run waits for helm and helm's status is due to be read again."""
        by_helm = run.ordering == "hooks" or not run.trainjob
        waits = any(stage.state == "waiting" for stage in run.stages)
        return (
            by_helm and waits and not run.ended and time.monotonic() - self.helm_asked >= HELM_EVERY_SECONDS
        )
