"""`osft runs`: the runs on the cluster and on this machine."""

import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from osft_pipeline.commands import SETTINGS
from osft_pipeline.follow.runs import runs_in
from osft_pipeline.kubectl import Json, Kubectl, cluster_options
from osft_pipeline.local import listing
from osft_pipeline.local.summary import size
from osft_pipeline.local.workspaces import called, workspace_option
from osft_pipeline.terminal import plain, plain_json
from osft_workspace import Transient, UserError

COLUMNS = (
    "run",
    "where",
    "state",
    "stage",
    "held-out loss",
    "retention",
    "verdict",
    "continues",
    "size",
    "version",
)
RIGHT = ("held-out loss", "retention", "size")
LEFT_OUT = ("version", "size", "continues", "verdict", "stage", "where", "retention", "held-out loss")
"""Columns that a narrow terminal does not show, the first of them first."""
GAP = 2
INDENT = "  "
REASON_LINES = 3
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

    Below a run that failed stands why. A narrow terminal shows fewer columns.

    If the cluster cannot be read, the reason goes to stderr and only the runs of this machine are listed.

    \b
    Keys of --json, null if not known (parent, losses, retention and size of a run on the cluster are in
    its workspace: osft report):
      run, where (local, or the namespace), parent (the run that it continues), state, stage,
      finished, changed (when anything was written, or the run started or ended), reason (why it
      failed), baseLoss, tunedLoss, retentionPoints, verdict, version, bytes
    """
    rows = listing.runs(workspace)
    if not only_local:
        try:
            rows = [*on_cluster(kubectl), *rows]
        except (UserError, Transient) as error:
            click.echo(f"Runs on the cluster are not listed: {error.message}", err=True)
    rows.sort(key=lambda row: str(row["changed"]), reverse=True)
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
    """Return the runs of one namespace. Raises UserError or Transient."""
    now = datetime.now(UTC)
    return [row_of(run.to_json(now)) for run in runs_in(kubectl.objects(), now)]


def row_of(run: Json) -> Json:
    """Return a run of the cluster with the keys of --json."""
    current = [stage for stage in run["stages"] if stage["state"] not in ("waiting", "not started")]
    unknown: dict[str, Any] = dict.fromkeys(
        ("parent", "baseLoss", "tunedLoss", "retentionPoints", "verdict", "version", "bytes")
    )
    return {
        "run": run["run"],
        "where": run["namespace"],
        "state": run["state"],
        "stage": current[-1]["name"] if current else None,
        "finished": run["finished"],
        "changed": run["finished"] or run["started"],
        "reason": run["message"] if run["state"] in ("failed", "refused", "stopped") else None,
        **unknown,
    }


def show(rows: Sequence[Json]) -> None:
    """Print the table, below each failed run why it failed."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, highlight=False)
    texts = [dict(zip(COLUMNS, map(plain, cells(row)), strict=True)) for row in rows]
    widths = {
        column: max(cell_len(text) for text in (column, *(row[column] for row in texts)))
        for column in COLUMNS
    }
    columns = fitting(widths, console.width)
    if not any(row["parent"] for row in rows) and "continues" in columns:
        columns.remove("continues")
    head = [aligned(column, column, widths, "bold") for column in columns]
    console.print(line(head), soft_wrap=True)
    for row, text in zip(rows, texts, strict=True):
        shown = [aligned(text[column], column, widths, STYLES.get(text[column], "")) for column in columns]
        console.print(line(shown), soft_wrap=True)
        if row["reason"]:
            console.print(Text(why(plain(row["reason"]), console.width), style="red"), soft_wrap=True)


def line(texts: Sequence[Text]) -> Text:
    """Return cells as a line."""
    found = Text(" " * GAP).join(texts)
    found.rstrip()
    return found


def why(reason: str, width: int) -> str:
    """Return the beginning of a reason, on few lines."""
    return textwrap.fill(
        reason,
        width,
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        max_lines=REASON_LINES,
        placeholder=" \u2026",
    )


def fitting(widths: Mapping[str, int], width: int) -> list[str]:
    """Return the columns that fit into `width`."""
    columns = list(COLUMNS)
    for left_out in LEFT_OUT:
        if sum(widths[column] + GAP for column in columns) - GAP <= width:
            break
        columns.remove(left_out)
    return columns


def aligned(text: str, column: str, widths: Mapping[str, int], style: str) -> Text:
    """Return a cell of its column's width."""
    blank = " " * (widths[column] - cell_len(text))
    return Text(f"{blank}{text}" if column in RIGHT else f"{text}{blank}", style=style)


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
        row["parent"] or "-",
        size(row["bytes"]) if row["bytes"] is not None else "-",
        row["version"] or "-",
    ]
