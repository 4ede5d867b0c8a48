"""`osft prune`: removes what no registered version and no run needs from a workspace."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from osft_ops.pruning import DAYS, Item, Plan
from osft_pipeline.commands import SETTINGS
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.local.summary import size
from osft_pipeline.local.workspaces import workspace_option
from osft_pipeline.pruner import ClaimPlace, LocalPlace, Place
from osft_pipeline.sources import is_given, two_places
from osft_pipeline.terminal import plain
from osft_workspace import UserError
from osft_workspace.text import counted


@click.command(context_settings=SETTINGS)
@click.argument("runs", nargs=-1)
@cluster_options
@click.option(
    "--release", help="Release on the cluster whose claim is meant; not needed where all use the same claim."
)
@workspace_option
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=DAYS,
    show_default=True,
    help="Without RUNS: remove runs in which nothing was written for this many days.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
def main(
    runs: Sequence[str],
    kubectl: Kubectl,
    release: str | None,
    workspace: Path,
    days: float,
    yes: bool,
    dry_run: bool,
) -> None:
    """Remove RUNS, or old ones, and the cached models and tokens that no remaining run needs.

    RUNS are run ids, or names of releases, which stand for all their runs. What would be removed is shown
    first, with its size. A run that is running, to whose model a registered version points, or that a run
    which stays continues, is never removed.

    With --release, -n, --context or --kubeconfig the claim of a release on the cluster is meant; without them
    a workspace of this machine. In a claim a pod lists the folders, and another one, which alone mounts the
    claim writable, removes what was shown and has not changed since.

    \b
    osft prune                              old runs of this machine
    osft prune --release mine -n team       old runs in the claim of release mine, and of all that share it
    osft prune mine                         all runs of mine on this machine, however young
    osft prune mine-1a2b3c4d -n team        one run on the cluster
    """
    in_claim = release or kubectl.flags
    if in_claim and is_given("workspace"):
        raise two_places("--release, -n, --context and --kubeconfig")
    place: Place = ClaimPlace(kubectl, release) if in_claim else LocalPlace(workspace)
    plan = place.plan(runs, timedelta(days=days))
    show(plan, place)
    if not plan.items:
        click.echo("Nothing to remove.")
    elif dry_run:
        click.echo(f"{summed(plan.items)}; nothing was removed (--dry-run).")
    elif not allowed(yes, summed(plan.items)):
        click.echo("Nothing was removed.")
    else:
        removed, changed = place.remove(plan.items)
        for item in changed:
            click.echo(f"keeps    {place.shown(item)}, which changed after it was shown")
        click.echo(f"removed {summed(removed)}")


def show(plan: Plan, place: Place) -> None:
    """Print what is kept, why, and what would be removed."""
    for reason in plan.kept:
        click.echo(f"keeps    {plain(reason)}")
    for item in plan.items:
        click.echo(f"removes  {place.shown(item)}  {item.what}, {size(item.bytes)}")


def summed(items: Sequence[Item]) -> str:
    """Return number and size of folders, in words."""
    return f"{counted(len(items), 'folder')}, {size(sum(item.bytes for item in items))}"


def allowed(yes: bool, what: str) -> bool:
    """Ask whether to remove. Raises UserError without a terminal."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError(
            "stdin is not a terminal, so nothing was asked and nothing was removed. Add --yes, or --dry-run."
        )
    return click.confirm(f"Remove {what}?")
