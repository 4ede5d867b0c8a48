"""Runs the combinations of a sweep, here or on a cluster; none stops the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import click
import yaml

from osft_pipeline.chart import Object
from osft_pipeline.check import check
from osft_pipeline.compare.evidence import Evidence, gather, letter
from osft_pipeline.continued import continue_flags
from osft_pipeline.install import install
from osft_pipeline.kubectl import Kubectl
from osft_pipeline.local import failures
from osft_pipeline.local.plan import RUN_ID, labels, plan
from osft_pipeline.local.run import Local
from osft_pipeline.rendering import HelmFailed, render
from osft_pipeline.run import ClusterRun, RunFailed
from osft_pipeline.sources import LocalSource, Source, on_cluster
from osft_pipeline.sweep.plan import Combination, Sweep
from osft_pipeline.terminal import Problems
from osft_workspace import Transient, UserError
from osft_workspace.text import counted

STOPPED = (130, 143)
"""Exit codes of a run on this machine that Ctrl-C or SIGTERM stopped."""
CLAIM = "workspace.existingClaim"


class Place(Protocol):
    """Where the runs are."""

    def ready(self, name: str, flags: Sequence[str], *, checked: bool) -> str:
        """Return the run id. Raises click.ClickException with what would stop the run."""

    def run(self, name: str, flags: Sequence[str], run_id: str) -> tuple[int, str]:
        """Run a release to its end; return its exit code and why it failed."""

    def source(self, run_id: str) -> AbstractContextManager[Source]:
        """Open a run for reading."""


class Here:
    """This machine: all runs share one workspace."""

    def __init__(self, local: Local) -> None:
        self.local = local

    def ready(self, name: str, flags: Sequence[str], *, checked: bool) -> str:
        steps, _ = self.local.ready(name, flags, checked=checked)
        return next((step.run_id for step in steps if step.run_id), name)

    def run(self, name: str, flags: Sequence[str], run_id: str) -> tuple[int, str]:
        code = self.local.run(name, flags)
        failure = failures.failure_of(self.local.machine.workspace / "runs" / run_id)
        return code, failure.message if failure else ""

    def source(self, run_id: str) -> AbstractContextManager[Source]:
        return nullcontext(LocalSource(self.local.machine.workspace, run_id))


class There:
    """A cluster: all runs share the claim of the values, or that of the first run."""

    def __init__(self, kubectl: Kubectl, helm: Sequence[str], *, unchecked: bool, autoscaler: bool) -> None:
        self.kubectl, self.helm = kubectl, helm
        self.unchecked, self.autoscaler = unchecked, autoscaler
        self.claim = self.owner = ""
        """The claim of the first run, and that run; empty where the values name a claim."""

    def ready(self, name: str, flags: Sequence[str], *, checked: bool) -> str:
        objects = render(name, [*flags, *self.kubectl.helm_flags()])
        plan(objects)  # refuses values without a stage
        if checked and not self.unchecked:
            findings = check(name, [*flags, *self.kubectl.helm_flags()], self.kubectl, self.autoscaler)
            if findings.problems:
                raise Problems("\n".join(f"- {problem}" for problem in findings.problems))
        if not self.claim:
            self.claim, self.owner = own_claim(objects), name
        return next((run for one in objects if (run := labels(one).get(RUN_ID))), name)

    def start(self, name: str, flags: Sequence[str]) -> tuple[int, str]:
        """Install a release, with the shared claim. Raises HelmFailed."""
        shared = ["--set-string", f"{CLAIM}={self.claim}"] if self.claim and name != self.owner else []
        install(name, [*flags, *shared, *self.kubectl.helm_flags(), *self.helm], dry_run=False)
        return 0, ""

    def run(self, name: str, flags: Sequence[str], run_id: str) -> tuple[int, str]:
        self.start(name, flags)
        return self.wait(name)

    def wait(self, name: str) -> tuple[int, str]:
        """Follow a release to its end."""
        try:
            ClusterRun(self.kubectl, name).follow()
        except RunFailed as failed:
            return failed.exit_code, str(failed)
        return 0, ""

    def source(self, run_id: str) -> AbstractContextManager[Source]:
        return on_cluster(run_id, self.kubectl)


def own_claim(objects: Sequence[Object]) -> str:
    """Return the claim that a release creates; empty where its values name one."""
    kind = "PersistentVolumeClaim"
    return next((str(one["metadata"]["name"]) for one in objects if one["kind"] == kind), "")


@contextmanager
def flags_of(sweep: Sweep, more: Sequence[str]) -> Iterator[dict[str, list[str]]]:
    """Yield helm's flags of each run by name; its values are files for as long as the block runs."""
    below = [f"--values={sweep.file}"] if sweep.file else []
    with TemporaryDirectory(prefix=f"osft-sweep-{sweep.name}-") as folder:
        for one in sweep.runs:
            (Path(folder) / f"{one.name}.yaml").write_text(yaml.safe_dump(one.values))
        yield {one.name: [*below, *more, f"--values={folder}/{one.name}.yaml"] for one in sweep.runs}


def continue_all(flags: Mapping[str, list[str]], earlier: str | None, kubectl: Kubectl | None) -> None:
    """Add the flags of --continue, which the values of the first run decide, to those of each run.

    Values that do not render get none: `run_ids` says what is wrong with them, in every run. Raises as
    `continue_flags`.
    """
    name, first = next(iter(flags.items()))
    try:
        more = continue_flags(name, first, earlier, kubectl)
    except HelmFailed:
        return
    for own in flags.values():
        own += more


def run_ids(sweep: Sweep, flags: Mapping[str, list[str]], place: Place, *, checked: bool) -> dict[str, str]:
    """Return the run id of each run. Raises Problems with everything that would stop one of them."""
    found: dict[str, str] = {}
    problems: dict[str, list[str]] = {}
    for one in sweep.runs:
        try:
            found[one.name] = place.ready(one.name, flags[one.name], checked=checked)
        except click.ClickException as error:
            if error.exit_code != 2:
                raise
            listed = [line for line in error.message.splitlines() if line.startswith("- ")]
            for line in listed or error.message.splitlines():
                problems.setdefault(line.removeprefix("- "), []).append(one.name)
    if sweep.problems or problems:
        count = len(sweep.runs)
        lines = [
            f"- {line}" if len(names) == count else f"- {line} ({', '.join(names)})"
            for line, names in problems.items()
        ]
        head = f"{counted(len(problems) + len(sweep.problems), 'problem')}; nothing was started."
        raise Problems("\n".join([head, *(f"- {line}" for line in sweep.problems), *lines]))
    return found


def in_order(
    runs: Sequence[Combination], act: Callable[[Combination], tuple[int, str]]
) -> dict[str, tuple[int, str]]:
    """Run one after the other; return exit code and reason by name. A stopped run ends the sweep."""
    ends: dict[str, tuple[int, str]] = {}
    for number, one in enumerate(runs, start=1):
        head = click.style(f"Run {number} of {len(runs)}", bold=True)
        click.echo(f"\n{head}  {one.text()}")
        try:
            ends[one.name] = act(one)
        except click.ClickException as error:
            error.show()
            ends[one.name] = error.exit_code, error.message
        if ends[one.name][0] in STOPPED:
            break
    return ends


def evidence(ids: Sequence[str], place: Place) -> list[Evidence]:
    """Read what the runs left; one that left nothing is named and left out."""
    found: list[Evidence] = []
    for run_id in ids:
        try:
            with place.source(run_id) as source:
                found.append(gather(source, letter(len(found))))
        except (UserError, Transient) as error:
            click.echo(f"Left out of the comparison: {error.message}", err=True)
    return found
