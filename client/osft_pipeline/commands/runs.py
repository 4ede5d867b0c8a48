"""`osft runs`: the runs on the cluster and on this machine."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from osft_pipeline.commands import SETTINGS
from osft_pipeline.follow.runs import runs_in
from osft_pipeline.kubectl import Json, Kubectl, cluster_options
from osft_pipeline.local import listing
from osft_pipeline.local.summary import size
from osft_pipeline.local.workspaces import called, workspace_option
from osft_pipeline.terminal import plain, plain_json
from osft_workspace import Transient, UserError

COLUMNS = ("run", "where", "state", "stage", "held-out loss", "retention", "verdict", "size", "version")
STYLES = {
    "done": "green",
    "failed": "red",
    "refused": "red",
    "running": "cyan",
    "worse": "red",
    "better": "green",
}
WIDTH_OF_A_FILE = 200  # columns if the output is not a terminal, so that nothing is cut


@click.command(context_settings=SETTINGS)
@cluster_options
@workspace_option
@click.option(
    "--local", "only_local", is_flag=True, help="Only runs of this machine; do not read the cluster."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, described below.")
def main(kubectl: Kubectl, workspace: Path, only_local: bool, as_json: bool) -> None:
    """List the runs on the cluster, in one namespace, and on this machine, newest first.

    If the cluster cannot be read, the reason goes to stderr and only the runs of this machine are listed.

    \b
    Keys of --json, null if not known (losses, retention and size of a run on the cluster are in its
    workspace: osft report):
      run, where (local, or the namespace), state, stage, finished, baseLoss, tunedLoss,
      retentionPoints, verdict, version, bytes
    """
    rows = listing.runs(workspace)
    if not only_local:
        try:
            rows = [*on_cluster(kubectl), *rows]
        except (UserError, Transient) as error:
            click.echo(f"Runs on the cluster are not listed: {error.message}", err=True)
    if as_json:
        click.echo(plain_json(rows))
    elif rows:
        show(rows)
    else:
        click.echo(
            f"No run was found. Start one: {called()} run NAME --data hf://org/dataset "
            "(on this machine: --local)."
        )


def on_cluster(kubectl: Kubectl) -> list[Json]:
    """Return the runs of one namespace, newest first. Raises UserError or Transient."""
    now = datetime.now(UTC)
    found = runs_in(kubectl.objects(), now)
    return [row_of(run.to_json(now)) for run in sorted(found, key=lambda run: run.started, reverse=True)]


def row_of(run: Json) -> Json:
    """Return a run of the cluster with the keys of --json."""
    current = [stage for stage in run["stages"] if stage["state"] not in ("waiting", "not started")]
    unknown: dict[str, Any] = dict.fromkeys(
        ("baseLoss", "tunedLoss", "retentionPoints", "verdict", "version", "bytes")
    )
    return {
        "run": run["run"],
        "where": run["namespace"],
        "state": run["state"],
        "stage": current[-1]["name"] if current else None,
        "finished": run["finished"],
        **unknown,
    }


def show(rows: Sequence[Json]) -> None:
    """Print the table."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(
            column, justify="right" if column in ("held-out loss", "retention", "size") else "left"
        )
    for row in rows:
        table.add_row(*(Text(plain(cell), style=STYLES.get(cell, "")) for cell in cells(row)))
    console.print(table)


def cells(row: Json) -> list[str]:
    """Return a run's row, a dash for what is not known."""
    losses = [row["baseLoss"], row["tunedLoss"]]
    points = row["retentionPoints"]
    return [
        row["run"],
        row["where"],
        row["state"],
        row["stage"] or "-",
        " to ".join(f"{loss:.3f}" for loss in losses) if None not in losses else "-",
        f"{points:+.1f} points" if points is not None else "-",
        row["verdict"] or "-",
        size(row["bytes"]) if row["bytes"] is not None else "-",
        row["version"] or "-",
    ]
