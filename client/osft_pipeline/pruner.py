"""Where `osft prune` plans and removes: in a workspace of this machine, or in a claim of the cluster."""

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from osft_ops import pruning
from osft_ops.pruning import Item, Plan
from osft_pipeline import claim_pod
from osft_pipeline.claim import ClaimPod, cut, forbidden, last_line
from osft_pipeline.follow.follower import no_run
from osft_pipeline.follow.look import Look
from osft_pipeline.follow.objects import INSTANCE, label, made
from osft_pipeline.follow.runs import runs_in
from osft_pipeline.kubectl import Json, Kubectl
from osft_pipeline.local import summary
from osft_pipeline.sources import KINDS, no_run_at_all
from osft_workspace import Transient, UserError, exits, printable
from osft_workspace.exits import StageError

ENDS: dict[int, type[StageError]] = {exits.USER: UserError, exits.TRANSIENT: Transient}
SENTENCE = re.compile(r"(?m)^Error: (.*)$")
TOO_OLD = re.compile(r"executable file not found|No such command")


class Place(Protocol):
    """A workspace."""

    def shown(self, item: Item) -> str:
        """Return where a folder lies, for people to read."""

    def plan(self, runs: Sequence[str], older: timedelta) -> Plan:
        """Return what can be removed."""

    def remove(self, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
        """Remove what has not changed since it was planned; return what was removed and what was not."""


class LocalPlace:
    """A workspace of this machine."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def shown(self, item: Item) -> str:
        return summary.near(self.workspace / item.path)

    def plan(self, runs: Sequence[str], older: timedelta) -> Plan:
        return pruning.plan(self.workspace, runs, older)

    def remove(self, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
        return pruning.remove(self.workspace, items)


class ClaimPlace:
    """The claim of a release. Each call starts a pod; only the one that removes mounts the claim writable."""

    def __init__(self, kubectl: Kubectl, release: str | None) -> None:
        self.kubectl = kubectl
        self.release, self.template = find(kubectl, release)
        self.claim = claim_pod.claim_name(self.template)

    def shown(self, item: Item) -> str:
        return f"pvc://{self.claim}/{printable(item.path)}"

    def plan(self, runs: Sequence[str], older: timedelta) -> Plan:
        words = [f"--older-than={older / timedelta(days=1)}", "--", *runs]
        found = self.ask(words, doing="folders were listed")
        return Plan(items_of(found["items"]), found["kept"])

    def remove(self, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
        given = json.dumps([asdict(item) for item in items]).encode()
        found = self.ask(["--remove=-"], given, writable=True, doing="folders were removed")
        return items_of(found["removed"]), items_of(found["changed"])

    def ask(self, words: Sequence[str], given: bytes = b"", *, writable: bool = False, doing: str) -> Any:
        """Return what `osft-ops prune` prints in a pod. Raises its UserError or Transient, or our own."""
        active = [f"--active={run}" for run in active_runs(self.kubectl)]
        with (
            tempfile.TemporaryFile() as file,
            ClaimPod(self.kubectl, self.release, self.template, "prune", writable) as pod,
        ):
            command = ["osft-ops", "prune", f"--workspace={pod.root}", *active, *words]
            code, said = pod.run(command, file, given)
            if code == 0:
                file.seek(0)
                try:
                    return json.load(file)
                except ValueError:  # kubectl reports some cuts as a good end
                    raise cut(doing, "the end of the answer is missing") from None
            raise self.failure(code, said.replace(pod.root, f"pvc://{self.claim}"), doing)

    def failure(self, code: int | None, said: str, doing: str) -> StageError:
        """Return the error for a command that did not end well; its own sentence where it said one."""
        if TOO_OLD.search(said):
            return UserError(
                f"the download image of release {self.release} is of a version without `osft-ops prune` "
                f"({last_line(said)}). Upgrade the release, then run this again."
            )
        if code is None:
            return forbidden(last_line(said)) if "forbidden" in said.lower() else cut(doing, last_line(said))
        sentences = SENTENCE.findall(said)
        if not sentences:
            return StageError(f"osft-ops prune ended with exit code {code} in the pod ({last_line(said)}).")
        return ENDS.get(code, StageError)(sentences[-1])


def items_of(values: Sequence[Json]) -> list[Item]:
    """Return items from JSON."""
    return [Item(**value) for value in values]


def find(kubectl: Kubectl, release: str | None) -> tuple[str, Json]:
    """Return a release and the pod template with which its claim is pruned; without a name the only claim's.

    Raises UserError or Transient.
    """
    things = sorted(kubectl.objects(kinds=KINDS), key=made)
    names = {label(thing, INSTANCE) for thing in things} - {""}
    if release and release not in names:
        raise no_run(Look(kubectl, release, None))
    if not names:
        raise no_run_at_all(kubectl)
    found = {}
    for name in sorted({release} if release else names):
        template = claim_pod.with_ops(thing for thing in things if label(thing, INSTANCE) == name)
        if template is not None:
            found[claim_pod.claim_name(template)] = name, template
    if not found:
        raise UserError(
            f"{f'release {release}' if release else 'no release'} in namespace {kubectl.namespace()} "
            f"{'does not have' if release else 'has'} a download stage, whose image osft prune uses. Name "
            "with --release one that downloads into the same claim."
        )
    if len(found) > 1:
        listed = ", ".join(f"{name} ({claim})" for claim, (name, _) in sorted(found.items()))
        raise UserError(
            f"namespace {kubectl.namespace()} has the claims of several releases: {listed}. Name one with "
            "--release."
        )
    ((name, template),) = found.values()
    return name, template


def active_runs(kubectl: Kubectl) -> list[str]:
    """Return the runs of the namespace that have not ended: none of their stages may be running now.

    Raises UserError where they cannot be listed, or Transient.
    """
    found = [run for run in runs_in(kubectl.objects(), datetime.now(UTC)) if not run.ended]
    if kubectl.refused:
        raise UserError(
            f"you are not allowed to list {' and '.join(sorted(kubectl.refused))}, so which runs are running "
            "is unknown. Ask for the Role of docs/cluster.md#rights."
        )
    # Of some runs only helm knows whether they go on.
    seen = [Look(kubectl, run.release, run.id).once() for run in found]
    return [run.id for run in seen if run and not run.ended]
