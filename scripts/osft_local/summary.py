"""The last screen: what a run learned, what it kept, what it cost and where everything lies.

Reads the run's records and `eval/results.json`, nothing else. Plain text, at most 100 columns.
"""

import json
import os
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from osft_local.render import ROOT
from osft_workspace import UserError
from osft_workspace.log import duration

Json = dict[str, Any]

DEMO = ROOT / ".cache" / "demo" / "workspace"
WIDTH = 100
HOLDOUT_ROWS = (
    ("loss", "loss", 3),
    ("perplexity", "perplexity", 1),
    ("ROUGE-L", "rouge_l", 3),
    ("BLEU", "bleu", 3),
)
STAGES = ("download", "train", "eval", "register")


def show(workspace: Path, run_id: str) -> None:
    """Print the screen of one run. Raises UserError when the run has no record yet."""
    click.echo(screen(workspace, run_id))


def newest_run(workspace: Path, name: str | None = None, stage: str | None = None) -> str:
    """The run `name`, else the newest run of release `name`, else the newest; by its record of `stage`."""
    runs = name if name and (workspace / "runs" / name).is_dir() else f"{name}-????????" if name else "*"
    pattern = f"{runs}/{stage or '*'}/record.json"
    records = sorted((workspace / "runs").glob(pattern), key=lambda path: path.stat().st_mtime)
    if not records:
        of = f" of {name!r}" if name else ""
        raise UserError(
            f"{near(workspace)} holds no finished run{of}. Start one with scripts/run-local or `make demo`."
        )
    return records[-1].parent.parent.name


def changed_since(workspace: Path, run_id: str, began: float) -> bool:
    """Whether a stage of the run finished after `began`, a time of the system clock in seconds."""
    records = (workspace / "runs" / run_id).glob("*/record.json")
    return any(record.stat().st_mtime >= began for record in records)


def near(path: Path) -> str:
    """A path as short as it can be typed here."""
    return min(str(path), os.path.relpath(path), key=len)


def screen(workspace: Path, run_id: str) -> str:
    """The whole screen as text."""
    run_dir = workspace / "runs" / run_id
    records = {stage: read(run_dir / stage / "record.json") for stage in STAGES}
    found = {stage: record for stage, record in records.items() if record}
    if not found:
        raise UserError(f"{near(run_dir)} holds no record: expected <stage>/record.json of a finished stage.")
    results = read(run_dir / "eval" / "results.json") if "eval" in found else {}
    parts = [
        headline(run_id, found),
        learned(results),
        kept(results),
        verdict(results),
        costs(found),
        places(run_dir, found, results),
        ask_line(workspace, run_dir, found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def read(path: Path) -> Json:
    """A JSON file, or nothing where there is none."""
    return json.loads(path.read_text()) if path.is_file() else {}


def bold(text: str) -> str:
    """A heading; plain where NO_COLOR is set or nobody watches."""
    return text if os.environ.get("NO_COLOR") else click.style(text, bold=True)


def tint(text: str, good: bool | None) -> str:
    """Green for better, red for worse; plain where NO_COLOR is set or it says neither."""
    if good is None or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg="green" if good else "red")


def size(count: int) -> str:
    """Bytes as people say them."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def table(rows: Sequence[Sequence[str]], shapes: str, tints: Sequence[Callable[[str], str]] = ()) -> str:
    """Rows as aligned lines; one of `<` or `>` in `shapes` for each column, one of `tints` for each row."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(shapes))]
    lines = []
    for number, row in enumerate(rows):
        cells = [f"{cell:{shape}{width}}" for cell, shape, width in zip(row, shapes, widths, strict=True)]
        line = "  " + "   ".join(cells).rstrip()
        lines.append(tints[number](line) if tints else line)
    return "\n".join(lines)


def headline(run_id: str, records: dict[str, Json]) -> str:
    """The run's name, how it ended, how long its stages took together."""
    seconds = sum(record["timings"]["seconds"] for record in records.values())
    refused = [stage for stage, record in records.items() if record["status"] == "refused"]
    state = f"refused by {refused[0]}" if refused else "done"
    return f"{bold(run_id)}  {state}; its stages took {duration(seconds)}"


def learned(results: Json) -> str:
    """Held-out loss, perplexity and text scores of both models."""
    holdout = results.get("holdout")
    if not holdout:
        return ""
    rows = [["", "base", "tuned", "change", ""]]
    tints: list[Callable[[str], str]] = [str]
    for title, key, digits in HOLDOUT_ROWS:
        if key in holdout:
            base, tuned = holdout[key]["base"], holdout[key]["tuned"]
            shown = [f"{base:.{digits}f}", f"{tuned:.{digits}f}", f"{tuned - base:+.{digits}f}"]
            low, high = holdout.get("interval") or (None, None)
            interval = f"95 % interval {low:+.3f} to {high:+.3f}" if key == "loss" and low is not None else ""
            rows.append([title, *shown, interval])
            tints.append(partial(tint, good=tuned < base) if key == "loss" else str)
    head = (
        f"{bold('What was learned')}  {holdout['n']:,} held-out rows, {holdout['tokens']:,} tokens of answers"
    )
    return f"{head}\n{table(rows, '<>>><', tints)}"


def kept(results: Json) -> str:
    """One line for each task and group: both models, flips in both directions, p; then a reading of them."""
    tasks: dict[str, Json] = results.get("tasks") or {}
    if not tasks:
        return ""
    groups: dict[str, Json] = results.get("groups") or {}
    shown = {**tasks, **{name: group for name, group in groups.items() if len(group["tasks"]) > 1}}
    rows: list[Sequence[str]] = [("", "items", "base", "tuned", "points", "gained", "lost", "p")]
    tints: list[Callable[[str], str]] = [str]
    for name, task in shown.items():
        rows.append(task_row(str(task.get("title") or name), task))
        tints.append(partial(tint, good={"better": True, "worse": False}.get(task["verdict"])))
    worse = [str(task.get("title") or name) for name, task in shown.items() if task["verdict"] == "worse"]
    fell = ", ".join(worse) or "Nothing"
    reading = f"{fell} fell by more than chance explains (p < 0.05, corrected for the number of tasks)."
    note = "the same items for both models; gained and lost: answers that turned right or wrong"
    wrapped = textwrap.fill(reading, WIDTH, initial_indent="  ", subsequent_indent="  ")
    return f"{bold('What was kept')}  {note}\n{table(rows, '<>>>>>>>', tints)}\n{wrapped}"


def task_row(title: str, task: Json) -> tuple[str, ...]:
    """One task's cells; scores up to 1 are shown in percent."""
    percent = max(abs(task["base"]), abs(task["tuned"])) <= 1
    scale, unit = (100, " %") if percent else (1, "")
    return (
        short(title, 34),
        f"{task['n']:,}",
        f"{task['base'] * scale:.1f}{unit}",
        f"{task['tuned'] * scale:.1f}{unit}",
        f"{task['delta'] * scale:+.1f}",
        *(str(task[key]) if task.get(key) is not None else "-" for key in ("gained", "lost")),
        f"{task['p_value']:.3f}" if task.get("p_value") is not None else "-",
    )


def short(text: str, width: int) -> str:
    """Text cut to `width`."""
    return text if len(text) <= width else text[: width - 1] + "\u2026"


def verdict(results: Json) -> str:
    """What the gates said and what was left out."""
    failures = (results.get("gates") or {}).get("failures") or []
    lines = [f"{bold('Refused')}  {failure}" for failure in failures]
    lines += [
        f"{bold('Left out')}  {skip['what']}: {skip['reason']}" for skip in results.get("skipped") or []
    ]
    return "\n".join(lines)


def costs(records: dict[str, Json]) -> str:
    """Time and peak memory per stage."""
    rows = []
    for stage, record in records.items():
        timings = record["timings"]
        memory = timings.get("peak_memory_bytes") or 0
        told = short(str(record.get("message") or "").partition("; ")[0], WIDTH - 34)
        rows.append((stage, duration(timings["seconds"]), size(memory), told))
    return f"{bold('Time and peak memory')}\n{table(rows, '<>><')}"


def places(run_dir: Path, records: dict[str, Json], results: Json) -> str:
    """Where model, report and records lie, and the registered version."""
    rows = []
    model = tuned_model(run_dir, records)
    if model is not None:
        rows.append(("model", near(model)))
    if results:
        rows.append(("report", near(run_dir / "eval" / "report.html")))
    rows.append(("records", near(run_dir) + "/{" + ",".join(records) + "}/record.json"))
    register = records.get("register")
    if register is not None:
        details = register.get("details") or {}
        rows.append(("version", str(details.get("url") or register.get("message") or register["status"])))
    return f"{bold('Where it lies')}\n{table(rows, '<<')}"


def tuned_model(run_dir: Path, records: dict[str, Json]) -> Path | None:
    """The folder of the model that goes on: the one evaluation names, else the trained one."""
    for stage in ("eval", "train"):
        model = ((records.get(stage) or {}).get("details") or {}).get("model") or {}
        if model.get("path"):
            return run_dir / str(model["path"])
    return None


def ask_line(workspace: Path, run_dir: Path, records: dict[str, Json]) -> str:
    """The command that asks both models a question."""
    if tuned_model(run_dir, records) is None:
        return ""
    row = first_row(run_dir / "download" / "eval.jsonl")
    asked = [turn["content"] for turn in row.get("messages") or [] if turn.get("role") == "user"]
    question = asked[0].splitlines()[0] if asked and len(asked[0]) <= 80 else "Who are you?"
    quoted = question.replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    words = [] if workspace == DEMO else ["--workspace", near(workspace)]
    words += [] if newest_run(workspace, stage="train") == run_dir.name else ["--run", run_dir.name]
    return f'{bold("Ask both models")}\n  scripts/ask {"".join(f"{word} " for word in words)}"{quoted}"'


def first_row(path: Path) -> Json:
    """The first held-out row, or nothing."""
    if not path.is_file():
        return {}
    with path.open() as file:
        line = file.readline()
    return json.loads(line) if line.strip() else {}
