"""`osft plan`: what a training takes, before anything is installed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from osft_pipeline import planner
from osft_pipeline.chart import flag_list, value_flags
from osft_pipeline.commands import SETTINGS
from osft_pipeline.local.workspaces import workspace_option
from osft_pipeline.terminal import plain, plain_json
from osft_plan import change, plan
from osft_plan.memory import GIB
from osft_plan.plan import Limits, Plan
from osft_workspace import UserError
from osft_workspace.text import counted

MEANING = {
    "parameters": "what is trained, in float32",
    "gradients": "of what is trained, in float32",
    "optimizer": "the two moments of AdamW, in float32",
    "frozen": "what is not trained",
    "gathered": "copies of weights and gradients for a pass",
    "activations": "what the forward pass leaves for the backward pass",
    "logits": "output layer and loss",
    "libraries": "without a model",
    "allocator": "held, and not in use",
}
"""Term -> what it is."""
WIDTH_OF_A_FILE = 100


@click.command(context_settings=SETTINGS)
@click.argument("name", default="run")
@value_flags
@workspace_option
@click.option("--run", help="Run of this machine whose rows and base model are taken.")
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the base model, in place of model.uri.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="config.json of the base model, in place of model.uri; no weights are needed.",
)
@click.option("--rows", type=click.IntRange(min=1), help="Number of rows to train on.")
@click.option("--tokens-per-row", type=click.IntRange(min=1), help="Tokens of each row.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    name: str,
    workspace: Path,
    run: str | None,
    model: Path | None,
    config: Path | None,
    rows: int | None,
    tokens_per_row: int | None,
    as_json: bool,
    **flags: Sequence[str],
) -> None:
    """Show what the training of release NAME takes: steps, dropped rows, memory, disk and time.

    The download stage says the same at its end, from the rows' real lengths. Here they come from a finished
    download of this machine, from a file that data.uri names, or from --rows and --tokens-per-row; what is
    assumed is said. preflight.training limits memory, time and dropped rows: exit code 2 where something does
    not fit, with the smallest change that does.

    \b
    osft plan -f values.yaml --rows 20000 --tokens-per-row 600
    osft plan -f values.yaml --set preflight.training.gpuMemoryGiB=80,train.maxTokensPerGpu=auto
    """
    if bool(rows) != bool(tokens_per_row):
        raise click.UsageError("--rows and --tokens-per-row belong together: give both, or neither.")
    if model and config:
        raise click.UsageError("--model and --config both name the base model: leave one of them out.")
    asked = planner.read_values(name, flag_list(flags))
    counts = (rows, tokens_per_row) if rows and tokens_per_row else None
    found = planner.find(asked, workspace, run, model or config, counts)
    made = plan.make(found.model, asked.training, found.rows, asked.limits)
    misfits = change.misfits(made, asked.limits)
    best = change.smallest(found.model, made, found.rows, asked.limits) if misfits else None
    if as_json:
        facts = {**made.facts(), "parameters": found.model.parameters, "assumed": found.assumed}
        said = {"fits": not misfits, "misfits": [each.text for each in misfits], "change": best}
        click.echo(plain_json({**facts, **said}))
    else:
        show(made, found, asked.limits)
    if misfits:
        raise UserError(change.sentence(misfits, best, made))


def show(made: Plan, found: planner.Found, limits: Limits) -> None:
    """Print a plan as tables."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    console = Console(width=width, highlight=False)
    console.print(memory_table(made, limits))
    console.print()
    console.print(facts_table(made, found, limits))
    for text in found.assumed:
        console.print(Text(f"Assumed: {plain(text)}."))
    if not made.training.gpus:
        console.print("On a CPU the process of training has all of this memory; the pod needs a little more.")


def memory_table(made: Plan, limits: Limits) -> Table:
    """Return each term of the peak memory, and their sum."""
    where = "each GPU" if made.training.gpus else "each process"
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title, justify in ((f"Memory of {where}", "left"), ("GiB", "right"), ("", "left")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for term, size in made.terms.items():
        if size:
            table.add_row(term, f"{size / GIB:.2f}", MEANING[term])
    room = limits.memory
    style = "bold" if room is None else "bold green" if made.memory <= room else "bold red"
    verdict = (
        "" if room is None else f"{'fits' if made.memory <= room else 'does not fit'} into {room / GIB:g}"
    )
    table.add_row("total", f"{made.memory / GIB:.2f}", verdict, style=style)
    return table


def facts_table(made: Plan, found: planner.Found, limits: Limits) -> Table:
    """Return everything else."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    training, disk = made.training, sum(made.disk.values())
    parts = ", ".join(f"{name} {size / GIB:.1f}" for name, size in made.disk.items())
    dropped = f", {made.dropped:,} dropped ({made.dropped_share:.1%})" if made.dropped else ""
    dropped += exceeds(made.dropped_share, limits.dropped)
    time_fits = exceeds(made.hours, limits.hours)
    devices = counted(training.gpus, "GPU") if training.gpus else "CPU"
    nodes = f" on each of {training.nodes} nodes" if training.nodes > 1 else ""
    lines: dict[str, Any] = {
        "Training": f"{training.method} of {found.model.parameters / 1e6:,.1f}M parameters, {devices}{nodes}",
        "Rows": f"{made.rows:,} of up to {made.longest:,} tokens{dropped}",
        "Steps": f"{made.steps:,} of {training.batch} rows; up to {made.tokens_at_a_time:,} tokens at a time",
        "Time": f"about {shown_hours(made.hours)} at the speed of {made.speed}{time_fits}",
        "Host memory": f"{made.host / GIB:.1f} GiB on each node" if made.host else "",
        "Disk": f"{disk / GIB:.1f} GiB ({parts})",
    }
    for label, text in lines.items():
        if text:
            table.add_row(label, text)
    return table


def exceeds(value: float, limit: float | None) -> str:
    """Return what a limit says of a value."""
    return "" if limit is None else f", {'does not fit' if value > limit else 'fits'} into {limit:g}"


def shown_hours(value: float) -> str:
    """Return a duration for people."""
    return f"{value:.1f} hours" if value >= 1 else f"{max(round(value * 60), 1)} min"
