"""A run as Python sees it: its state, its results, its report."""

import html
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from osft_pipeline.follow.display import Lines, Screen
from osft_pipeline.follow.follower import Follower
from osft_pipeline.follow.look import Look
from osft_pipeline.kubectl import Json, Kubectl
from osft_pipeline.local import listing, screens, summary
from osft_pipeline.local.records import read
from osft_pipeline.sources import RESULTS, LocalSource, lasting_page, on_cluster, page_of
from osft_workspace import UserError

LOOK_SECONDS = 5.0


class RunFailed(Exception):
    """A run failed; `exit_code` is the stage's own: 2 fix something, 3 the gate failed, 75 retry later."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Report:
    """The page of an evaluation; a notebook shows it."""

    path: Path

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(), quote=True)
        return f'<iframe srcdoc="{page}" sandbox style="width: 100%; height: 80vh; border: 0"></iframe>'


class LocalRun:
    """A run in a workspace of this machine."""

    def __init__(self, workspace: Path, name: str) -> None:
        self.workspace, self.name = workspace, name

    @property
    def run_id(self) -> str:
        """Return the newest run of this name. Raises UserError if there is none."""
        return summary.newest_run(self.workspace, self.name)

    @property
    def folder(self) -> Path:
        """Return the run's folder."""
        return self.workspace / "runs" / self.run_id

    @property
    def status(self) -> str:
        """Return done, refused, running, failed or incomplete."""
        found = listing.run(self.folder)
        return str(found["state"]) if found else "incomplete"

    @property
    def results(self) -> Json:
        """Return eval/results.json; empty if the run was not evaluated."""
        return read(self.folder / "eval" / "results.json")

    def report(self) -> Report:
        """Return the page of the evaluation. Raises UserError where there is none."""
        return Report(page_of(LocalSource(self.workspace, self.run_id)))

    def follow(self) -> None:
        """Print the report: a local run has ended when `train` returns."""
        screens.show(self.workspace, self.run_id)

    def wait(self, timeout: float | None = None) -> str:
        """Return the status: a local run has ended when `train` returns."""
        return self.status


class ClusterRun:
    """The newest run of a release on a cluster. A pod reads its files, for as long as a call takes."""

    def __init__(self, kubectl: Kubectl, release: str) -> None:
        self.kubectl, self.name = kubectl, release

    def describe(self) -> Json:
        """Return the run with the keys of `osft follow --json`. Raises UserError if there is none."""
        found = Look(self.kubectl, self.name, None).once()
        if found is None:
            raise UserError(f"release {self.name} has no run in namespace {self.kubectl.namespace()}.")
        return found.to_json(datetime.now(UTC))

    @property
    def run_id(self) -> str:
        """Return the run id."""
        return str(self.describe()["run"])

    @property
    def status(self) -> str:
        """Return the state, as `osft follow` names it."""
        return str(self.describe()["state"])

    @property
    def results(self) -> Json:
        """Return eval/results.json; empty if the run was not evaluated. Raises UserError or Transient."""
        with on_cluster(self.run_id, self.kubectl) as source:
            return read(source.bring(RESULTS))

    def report(self) -> Report:
        """Return the page of the evaluation. Raises UserError where there is none, or Transient."""
        with on_cluster(self.run_id, self.kubectl) as source:
            return Report(lasting_page(source))

    def follow(self, timeout: float | None = None) -> None:
        """Show the run until it ends. Raises RunFailed if it fails, Transient after `timeout` seconds."""
        display = Screen(sys.stdout) if sys.stdout.isatty() else Lines(sys.stdout)
        follower = Follower(Look(self.kubectl, self.name, None), display, LOOK_SECONDS, timeout)
        try:
            self.judge(follower.until_end())
        finally:
            display.end(follower.run)

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the end without showing anything; return `done`. Raises as `follow`."""
        self.judge(Follower(Look(self.kubectl, self.name, None), Quiet(), LOOK_SECONDS, timeout).until_end())
        return "done"

    def judge(self, code: int) -> None:
        """Raise RunFailed for a failed run."""
        if code != 0:
            said = self.describe()
            raise RunFailed(f"run {said['run']} {said['state']}: {said['message']}", code)


class Quiet:
    """Shows nothing."""

    def show(self, run: Any) -> None: ...

    def say(self, text: str) -> None: ...

    def end(self, run: Any) -> None: ...
