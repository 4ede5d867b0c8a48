"""The report of a run on a terminal, and the command that comes next."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from osft_pipeline.local import failures, summary
from osft_pipeline.local.records import first_row
from osft_pipeline.local.workspaces import called, default_workspace
from osft_workspace.text import field
from osft_workspace.tuned import Tuned

ACTS_IN_QUOTES = re.compile(r"[\"$`\\!]")  # what a shell reads between double quotes


def show(workspace: Path, run_id: str) -> None:
    """Print the screen of one run of this machine. Raises UserError when the run has no record yet."""
    run_dir = workspace / "runs" / run_id
    click.echo(
        summary.screen(run_dir, summary.near, ask_line(workspace, run_dir), failures.failure_of(run_dir))
    )


def fetch_line(run_dir: Path, flags: Sequence[str]) -> str:
    """Return the command that copies the tuned model of a run on the cluster."""
    if Tuned.of_run(summary.records_of(run_dir)) is None:
        return ""
    words = shlex.join([called(), "fetch", run_dir.name, *flags])
    return f"{summary.bold('Copy the tuned model')}\n  {words}"


def ask_line(workspace: Path, run_dir: Path) -> str:
    """Return the command that asks both models a question."""
    if Tuned.of_run(summary.records_of(run_dir)) is None:
        return ""
    row = first_row(run_dir / "download" / "eval.jsonl")
    asked = [turn["content"] for turn in row.get("messages") or [] if turn.get("role") == "user"]
    question = asked[0].splitlines()[0] if asked and len(asked[0]) <= 80 else "Who are you?"
    question = field(question)
    quoted = shlex.quote(question) if ACTS_IN_QUOTES.search(question) else f'"{question}"'
    words = [] if workspace == default_workspace() else ["--workspace", summary.near(workspace)]
    words += [] if summary.newest_run(workspace, stage="train") == run_dir.name else ["--run", run_dir.name]
    return (
        f"{summary.bold('Ask both models')}\n  {called()} ask {''.join(f'{word} ' for word in words)}{quoted}"
    )
