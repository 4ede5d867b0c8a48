"""`osft prune`: removes what no registered version and no run needs from a workspace of this machine."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.local import pruning, summary
from osft_pipeline.local.workspaces import workspace_option
from osft_workspace import UserError
from osft_workspace.text import counted


@click.command(context_settings=SETTINGS)
@click.argument("runs", nargs=-1)
@workspace_option
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Without RUNS: remove runs in which nothing was written for this many days.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
def main(runs: Sequence[str], workspace: Path, days: float, yes: bool, dry_run: bool) -> None:
    """Remove RUNS, or old ones, and the cached models and tokens that no remaining run needs.

    What would be removed is shown first, with its size. A run that is running, or to whose model a
    registered version points, is never removed.
    """
    plan = pruning.plan(workspace, runs, timedelta(days=days))
    for reason in plan.kept:
        click.echo(f"keeps    {reason}")
    for item in plan.items:
        click.echo(f"removes  {summary.near(item.path)}  {item.what}, {summary.size(item.bytes)}")
    total = summary.size(sum(item.bytes for item in plan.items))
    if not plan.items:
        click.echo("Nothing to remove.")
    elif dry_run:
        click.echo(f"{counted(len(plan.items), 'folder')}, {total}; nothing was removed (--dry-run).")
    elif allowed(yes, len(plan.items), total):
        for item in plan.items:
            pruning.remove(item)
        click.echo(f"removed {counted(len(plan.items), 'folder')}, {total}")


def allowed(yes: bool, count: int, total: str) -> bool:
    """Ask whether to remove. Raises UserError without a terminal."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError(
            "stdin is not a terminal, so nothing was asked and nothing was removed. Add --yes, or --dry-run."
        )
    return click.confirm(f"Remove {counted(count, 'folder')}, {total}?")
