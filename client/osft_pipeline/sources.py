"""Where the files of a run are read: in a workspace of this machine, or in a claim of the cluster."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

import click
from click.core import ParameterSource

from osft_pipeline import claim_pod
from osft_pipeline.claim import ClaimPod
from osft_pipeline.follow.follower import no_run
from osft_pipeline.follow.look import Look
from osft_pipeline.follow.model import iso
from osft_pipeline.follow.objects import INSTANCE, RUN, label, made, runs_of
from osft_pipeline.kubectl import Json, Kubectl
from osft_pipeline.local import screens, summary
from osft_pipeline.local.failures import Failure, failure_of
from osft_pipeline.local.workspaces import called
from osft_workspace import Transient, UserError, exits

PAGE = "eval/report.html"
RESULTS = "eval/results.json"
KINDS = ("trainjobs.trainer.kubeflow.org", "trainingruntimes.trainer.kubeflow.org", "jobs.batch")


class Source(Protocol):
    """One run's files."""

    run_dir: Path
    """A folder of this machine with the run's records."""

    def shown(self, path: Path) -> str:
        """Return where a path below `run_dir` lies, for people to read."""

    def bring(self, name: str) -> Path:
        """Return the path here of a small file of the run, which may not exist."""

    def copy(self, name: str, part: Path, size: int) -> None:
        """Copy a file of the run to `part`, where an earlier call may have left its beginning."""

    def failure(self) -> Failure | None:
        """Return how the run failed; None where it did not."""

    def next_step(self) -> str:
        """Return the last part of the screen: what to do with the model."""


class LocalSource:
    """A run in a workspace of this machine."""

    def __init__(self, workspace: Path, run_id: str) -> None:
        self.workspace, self.run_dir = workspace, workspace / "runs" / run_id

    def shown(self, path: Path) -> str:
        return summary.near(path)

    def bring(self, name: str) -> Path:
        return self.run_dir / name

    def copy(self, name: str, part: Path, size: int) -> None:
        shutil.copyfile(self.run_dir / name, part)

    def failure(self) -> Failure | None:
        return failure_of(self.run_dir)

    def next_step(self) -> str:
        return screens.ask_line(self.workspace, self.run_dir)


class ClaimSource:
    """A run in a claim of the cluster. What is small is copied to a folder here when it is asked for."""

    def __init__(self, pod: ClaimPod, release: str, run_id: str, folder: Path) -> None:
        self.pod, self.release, self.run_dir = pod, release, folder / run_id
        for stage in summary.STAGES:
            self.bring(f"{stage}/record.json")

    def shown(self, path: Path) -> str:
        below = PurePosixPath("runs", self.run_dir.name, path.relative_to(self.run_dir))
        return f"pvc://{self.pod.claim}/{below}"

    def bring(self, name: str) -> Path:
        target = self.run_dir / name
        content = None if target.is_file() else self.pod.read(f"runs/{self.run_dir.name}/{name}")
        if content is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return target

    def copy(self, name: str, part: Path, size: int) -> None:
        self.pod.fetch(f"runs/{self.run_dir.name}/{name}", part, size)

    def failure(self) -> Failure | None:
        if {"eval", "register"} <= summary.records_of(self.run_dir).keys():
            return None
        try:
            run = Look(self.pod.kubectl, self.release, self.run_dir.name).once()
        except (UserError, Transient):
            return None  # the records could be read, so that they are shown
        stage = run.culprit if run else None
        if run is None or stage is None or run.exit_code in (None, exits.REFUSED):
            return None
        message = stage.message or run.message
        return Failure(stage=stage.name, exitCode=run.exit_code, message=message, ended=iso(run.finished))

    def next_step(self) -> str:
        return screens.fetch_line(self.run_dir, self.pod.kubectl.flags)


@contextmanager
def opened(name: str | None, workspace: Path, kubectl: Kubectl) -> Iterator[Source]:
    """Open a run for reading: run id or release name, the newest run if None.

    Flags of kubectl mean the cluster, a workspace on the command line means this machine. Without either,
    runs of this machine come first. Raises UsageError, UserError or Transient.
    """
    only_here = is_given("workspace")
    if only_here and kubectl.flags:
        raise two_places("-n, --context and --kubeconfig")
    here: LocalSource | None = None
    nowhere = ""
    if not kubectl.flags:
        try:
            here = LocalSource(workspace, summary.newest_run(workspace, name))
        except UserError as error:
            if only_here or name is None or shutil.which("kubectl") is None:
                raise
            nowhere = f"{error.message} "
    if here:
        yield here
        return
    with on_cluster(name, kubectl, nowhere) as there:
        yield there


@contextmanager
def on_cluster(name: str | None, kubectl: Kubectl, nowhere: str = "") -> Iterator[Source]:
    """Open a run on the cluster; `nowhere` says where else it was looked for.

    Raises UserError or Transient.
    """
    try:
        run_id, release, template = find(name, kubectl)
    except (UserError, Transient) as error:
        raise type(error)(f"{nowhere}{error.message}") from error
    with ClaimPod(kubectl, release, template) as pod, tempfile.TemporaryDirectory() as folder:
        yield ClaimSource(pod, release, run_id, Path(folder))


def two_places(options: str) -> click.UsageError:
    """Return what to say where the command line names this machine and a cluster."""
    return click.UsageError(
        f"--workspace names a folder of this machine, and {options} a cluster. Leave out one of them."
    )


def is_given(option: str) -> bool:
    """Return whether an option stands on the command line that is running."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(option) is ParameterSource.COMMANDLINE


def find(name: str | None, kubectl: Kubectl) -> tuple[str, str, Json]:
    """Return run id, release and a pod template of a run on the cluster. Raises UserError or Transient."""
    things = sorted(kubectl.objects(kinds=KINDS), key=made)
    mine = [thing for thing in things if name in (None, label(thing, RUN), label(thing, INSTANCE))]
    older = not mine and name is not None  # a run that an upgrade replaced: its files stay in the claim
    if older:
        mine = [thing for thing in things if label(thing, INSTANCE) == str(name).rpartition("-")[0]]
    began = runs_of(mine)
    if not began:
        raise no_run(Look(kubectl, name, None)) if name else no_run_at_all(kubectl)
    newest = max(began, key=lambda run: began[run])
    release = next(label(thing, INSTANCE) for thing in mine if label(thing, RUN) == newest)
    own = [thing for thing in things if label(thing, INSTANCE) == release]
    template = claim_pod.choose(sorted(own, key=lambda thing: label(thing, RUN) == newest))
    if template is None:
        raise UserError(
            f"release {release} has no object left that describes its workspace. Install it again with the "
            f"same values, which repeats no finished stage: {called()} run {release}."
        )
    return str(name) if older else newest, release, template


def no_run_at_all(kubectl: Kubectl) -> UserError:
    """Return what to say about a namespace without runs."""
    space = kubectl.namespace()
    return UserError(f"namespace {space} has no run. Start one: {called()} run NAME -n {space}.")


def page_of(source: Source) -> Path:
    """Return the page of the evaluation. Raises UserError where there is none."""
    page = source.bring(PAGE)
    if not page.is_file():
        failure = source.failure()
        why = f"It {failure.sentence()}" if failure else "Its evaluation has not finished."
        raise UserError(f"run {source.run_dir.name} has no report: expected {source.shown(page)}. {why}")
    return page


def lasting_page(source: Source) -> Path:
    """Return the page as a file that stays when the source is closed. Raises UserError for none."""
    page = page_of(source)
    if isinstance(source, LocalSource):
        return page
    return Path(shutil.copy(page, tempfile.mkdtemp(prefix=f"{source.run_dir.name}-")))
