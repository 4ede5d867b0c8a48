"""The report on a terminal: what a run learned, what it kept, what it cost and where everything is.

It reads only the run's records and `summary` of `eval/results.json`. Plain text, at most 100 columns, and
sentences no wider than the terminal.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from osft_pipeline.local import failures
from osft_pipeline.local.failures import Failure
from osft_pipeline.local.records import Json, read
from osft_pipeline.local.workspaces import called
from osft_workspace import UserError, printable
from osft_workspace.log import duration
from osft_workspace.tuned import Tuned

WIDTH = 100
NARROWEST = 60
NAME = 34
"""Columns for the name of a task."""
HOLDOUT_ROWS = ("loss", "perplexity", "rouge_l", "bleu")
OLDER = "Its results.json is of another version. Run the evaluation again to see its figures here."
STAGES = ("download", "train", "eval", "register")
RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""What a run id or the name of a release looks like."""


def records_of(run_dir: Path) -> dict[str, Json]:
    """Return the records of the stages that have one, in order."""
    found = {stage: read(run_dir / stage / "record.json") for stage in STAGES}
    return {stage: record for stage, record in found.items() if record}


def newest_run(workspace: Path, name: str | None = None, stage: str | None = None) -> str:
    """Return the run `name`, or the newest run of release `name`, or of all; by its record of `stage`.

    Without `stage` a failed run counts too. Raises UserError where there is none, UsageError for a name that
    no run can have: an empty one, a path or a pattern.
    """
    if name is not None and not RUN_NAME.fullmatch(name):
        raise click.UsageError(
            f"{printable(repr(name))} is not a run, expected a run id or the name of a release. "
            f"`{called()} runs` lists them."
        )
    folder = workspace / "runs"
    runs = name if name and (folder / name).is_dir() else f"{name}-????????" if name else "*"
    found = [*folder.glob(f"{runs}/{stage or '*'}/record.json")]
    found += [] if stage else folder.glob(f"{runs}/{failures.FILE}")
    if not found:
        of = f" of {name!r}" if name else ""
        raise UserError(
            f"{near(workspace)} has no finished run{of}. Start one with `{called()} run NAME --local`."
        )
    newest = max(found, key=lambda path: path.stat().st_mtime)
    return newest.relative_to(folder).parts[0]


def changed_since(workspace: Path, run_id: str, began: float) -> bool:
    """Return whether a stage of the run finished after `began`, seconds of the system clock."""
    records = (workspace / "runs" / run_id).glob("*/record.json")
    return any(record.stat().st_mtime >= began for record in records)


def near(path: Path) -> str:
    """Return a path as short as it can be typed here."""
    return printable(min(str(path), os.path.relpath(path), key=len))


def screen(
    run_dir: Path, shown: Callable[[Path], str], next_step: str, failure: Failure | None = None
) -> str:
    """Return the whole screen as text; `shown` says where a path below the run's folder lies.

    Raises UserError when the run has no record yet and has not failed.
    """
    found = records_of(run_dir)
    if not found and failure:
        return f"{bold(printable(run_dir.name))}\n{failed(run_dir, shown, failure)}\n"
    if not found:
        raise UserError(
            f"{shown(run_dir)} has no record, expected <stage>/record.json of a finished stage. "
            "Look again later."
        )
    results = read(run_dir / "eval" / "results.json") if "eval" in found else {}
    summary = results.get("summary") or {}
    parts = [
        headline(run_dir.name, found, summary, failure),
        failed(run_dir, shown, failure) if failure else "",
        learned(summary),
        kept(summary),
        earlier_tasks(summary),
        left_out(summary),
        costs(found, summary),
        places(run_dir, found, results, shown),
        next_step,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def failed(run_dir: Path, shown: Callable[[Path], str], failure: Failure) -> str:
    """Return how a run failed, what to do and where its files are."""
    left = run_dir / failure.stage / "unfinished"
    files = f"\nWhat it left: {shown(left)}" if left.is_dir() else ""
    return f"{tint(failure.text(width()), False)}{files}"


def bold(text: str) -> str:
    """Return a heading; plain where NO_COLOR is set."""
    return text if os.environ.get("NO_COLOR") else click.style(text, bold=True)


def tint(text: str, good: bool | None) -> str:
    """Return text in green for good, red for bad; plain where NO_COLOR is set or for neither."""
    if good is None or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg="green" if good else "red")


def size(count: int) -> str:
    """Return bytes in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def table(rows: Sequence[Sequence[str]], shapes: str, tints: Sequence[Callable[[str], str]] = ()) -> str:
    """Return rows as aligned lines; one of `<` or `>` in `shapes` for each column, a tint for each row."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(shapes))]
    lines = []
    for number, row in enumerate(rows):
        cells = [f"{cell:{shape}{width}}" for cell, shape, width in zip(row, shapes, widths, strict=True)]
        line = "  " + "   ".join(cells).rstrip()
        lines.append(tints[number](line) if tints else line)
    return "\n".join(lines)


def headline(run_id: str, records: dict[str, Json], summary: Json, failure: Failure | None) -> str:
    """Return the run's name, its end, the time of its stages, and what evaluation found."""
    seconds = sum(record["timings"]["seconds"] for record in records.values())
    failed = [stage for stage, record in records.items() if record["status"] == "refused"]
    whole = "done" if {"eval", "register"} & records.keys() else f"incomplete after {list(records)[-1]}"
    ended = f"failed in {failure.stage}" if failure else whole
    state = f"the gate of {failed[0]} failed" if failed else ended
    first = f"{bold(printable(run_id))}  {state}; its stages took {duration(seconds)}"
    if not summary:
        return f"{first}\n{OLDER}" if "eval" in records else first
    good = {"worse": False}.get(summary["verdict"], summary["learned"] == "learned" or None)
    chain = (summary.get("chain") or {}).get("line") or ""
    sentences = [chain, summary["gates"]["sentence"], summary.get("mix") or ""]
    told = [filled(sentence, "") for sentence in sentences if sentence]
    return "\n".join([first, tint(summary["headline"], good), *told])


def learned(summary: Json) -> str:
    """Return held-out loss, perplexity and text scores of both models."""
    found = (summary.get("tables") or {}).get("learned")
    if not found:
        return ""
    lines = [line for line in found["rows"] if line["id"] in HOLDOUT_ROWS]
    return section("What was learned", found, lines, {**found["columns"], "name": ""})


def kept(summary: Json) -> str:
    """Return a line for each group and task, with both models, changed answers and p."""
    found = (summary.get("tables") or {}).get("kept")
    if not found:
        return ""
    columns = {key: title for key, title in found["columns"].items() if key != "reading"}
    return section("What was kept", found, found["rows"], {**columns, "name": ""})


def earlier_tasks(summary: Json) -> str:
    """Return a line for each earlier task of a chain: its held-out loss before and after this run."""
    found = summary.get("chain")
    if not found:
        return ""
    columns = {key: title for key, title in found["columns"].items() if key != "reading"}
    return section("Earlier tasks", found, found["rows"], {**columns, "name": ""})


def section(title: str, found: Json, lines: Sequence[Json], columns: dict[str, str]) -> str:
    """Return a table of eval's summary with its title, its note and its conclusion."""
    cells = [[short(line[key], NAME) if key == "name" else line[key] for key in columns] for line in lines]
    good = {"good": True, "bad": False}
    tints: list[Callable[[str], str]] = [str, *(partial(tint, good=good.get(line["tone"])) for line in lines)]
    shapes = "<" + ">" * (len(columns) - 1)
    parts = [f"{bold(title)}  {found['note']}", table([[*columns.values()], *cells], shapes, tints)]
    return "\n".join(parts + ([filled(found["sentence"], "  ")] if found["sentence"] else []))


def width() -> int:
    """Return the columns of the terminal, at most those of the screen."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(min(shutil.get_terminal_size().columns, WIDTH), NARROWEST)


def filled(text: str, indent: str) -> str:
    """Return a sentence on as many lines as it takes."""
    return textwrap.fill(text, width(), initial_indent=indent, subsequent_indent=indent)


def short(text: str, width: int) -> str:
    """Return text cut to `width`."""
    return text if len(text) <= width else text[: width - 1] + "\u2026"


def left_out(summary: Json) -> str:
    """Return what was not evaluated or not judged."""
    return "\n".join(f"{bold('Left out')}  {entry}" for entry in summary.get("left_out") or [])


def costs(records: dict[str, Json], summary: Json) -> str:
    """Return time, peak memory and message of each stage, without the headline shown above."""
    rows = []
    headline = f"{str(summary.get('headline') or '').rstrip('.')}; "
    for stage, record in records.items():
        timings = record["timings"]
        memory = timings.get("peak_memory_bytes") or 0
        message = str(record.get("message") or "").removeprefix(headline)
        said = short(re.split(r"; |\. ", message)[0], width() - 34)
        rows.append((stage, duration(timings["seconds"]), size(memory), said))
    return f"{bold('Time and peak memory')}\n{table(rows, '<>><')}"


def places(run_dir: Path, records: dict[str, Json], results: Json, shown: Callable[[Path], str]) -> str:
    """Return where model, report, records and the registered version are."""
    rows = []
    tuned = Tuned.of_run(records)
    if tuned is not None:
        rows.append((tuned.kind, shown(run_dir / tuned.path)))
    if results:
        rows.append(("report", shown(run_dir / "eval" / "report.html")))
    stages = ",".join(records)
    rows.append(
        ("records", f"{shown(run_dir)}/{f'{{{stages}}}' if len(records) > 1 else stages}/record.json")
    )
    register = records.get("register")
    if register is not None:
        details = register.get("details") or {}
        rows.append(("version", str(details.get("url") or register.get("message") or register["status"])))
    return f"{bold('Files and version')}\n{table(rows, '<<')}"
