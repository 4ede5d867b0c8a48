"""One question to both models of a run on this machine, the answers side by side."""

import json
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from osft_pipeline.local import answers, summary
from osft_pipeline.local.processes import environments
from osft_workspace import UserError, printable, redact_text
from osft_workspace.tuned import Tuned

GAP = "    "
TAB = 4  # columns
TITLES = ("base model", "tuned model")
CONFIGS = ("config.json", "adapter_config.json")


def ask_models(
    workspace: Path,
    run_id: str | None,
    question: str | None = None,
    system: str | None = None,
    max_new_tokens: int = 64,
    trust_remote_code: bool = False,
) -> str:
    """Return question and answers for a terminal; without a question the first held-out row is asked.

    Raises UserError for a run without models and where the models cannot be loaded.
    """
    run_id = summary.newest_run(workspace, run_id, stage="train")
    run_dir = workspace / "runs" / run_id
    rows = held_out(run_dir / "download" / "eval.jsonl")
    question = first_of(rows, run_dir) if question is None else question
    if not question.strip():
        raise UserError("the question is empty. Write one, or leave it out to ask the first held-out row.")
    turns = [{"role": "system", "content": system}] if system else []
    turns.append({"role": "user", "content": question})
    asked = {
        "models": model_folders(workspace, run_dir),
        "turns": turns,
        "max_new_tokens": max_new_tokens,
        "trust_remote_code": trust_remote_code,
    }
    with working(f"Loading base and tuned model of {printable(run_id)} to ask both"):
        found = answered(asked)
    return layout(question, found, rows.get(question))


def first_of(rows: dict[str, str], run_dir: Path) -> str:
    """Return the question of the first held-out row. Raises UserError where there is none."""
    if not rows:
        raise UserError(
            f"{summary.near(run_dir)} has no held-out row to ask, so a question is needed: osft ask QUESTION."
        )
    return next(iter(rows))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on stderr what is done for as long as it takes: a status on a terminal, otherwise one line."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        click.echo(what, err=True)
        yield


def model_folders(workspace: Path, run_dir: Path) -> list[list[str]]:
    """Return the folder of the base and of the tuned model, or that model's base and its adapter.

    Raises UserError for one that is gone.
    """
    records = summary.records_of(run_dir)
    base = workspace / str(records["download"]["details"]["model"]["path"])
    tuned = Tuned.of_run(records)
    left = run_dir / (tuned.path if tuned else "train/model")
    models = [base], [workspace / tuned.base, left] if tuned and tuned.base else [left]
    for title, folders in zip(TITLES, models, strict=True):
        for folder, name in zip(folders, CONFIGS, strict=False):
            if not (folder / name).is_file():
                raise UserError(
                    f"the {title} of run {run_dir.name} is missing: expected {folder}. Start the run again."
                )
    return [[str(folder) for folder in folders] for folders in models]


def answered(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Let the models answer in the evaluation's environment. Raises UserError with the end of its output."""
    python = environments() / "eval" / "bin" / "python"
    if not python.exists():
        raise UserError(f"{python} is missing. `scripts/setup demo` installs what runs need.")
    done = subprocess.run(
        [python, answers.__file__], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(
            f"the models did not answer: {printable((done.stderr.strip() or 'no reason').splitlines()[-1])}"
        )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def held_out(path: Path) -> dict[str, str]:
    """Return question -> answer of the held-out rows that have one question and one answer."""
    found = {}
    if path.is_file():
        with path.open() as file:
            for line in file:
                turns = [turn for turn in json.loads(line).get("messages") or [] if turn["role"] != "system"]
                if [turn["role"] for turn in turns] == ["user", "assistant"]:
                    found[str(turns[0]["content"])] = str(turns[1]["content"])
    return found


def layout(question: str, found: list[dict[str, Any]], reference: str | None) -> str:
    """Return the question, the answers in two columns, and the row's own answer if it is a row."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    column = (width - len(GAP) - 2) // 2
    cells = [
        [f"{title}, {one['seconds']:.1f} s", "-" * column, *wrap(one["text"] or "(nothing)", column)]
        for title, one in zip(TITLES, found, strict=True)
    ]
    lines = [f"  {left:{column}}{GAP}{right}".rstrip() for left, right in zip_longest(*cells, fillvalue="")]
    lines[0] = summary.bold(lines[0])
    shown = [summary.bold(line) for line in wrap(question, width)]
    if reference:
        own = [f"  {line}" for line in wrap(reference, width - 2)]
        lines += ["", summary.bold("  the held-out row's own answer"), *own]
    return "\n".join([*shown, "", *lines])


def wrap(text: str, width: int) -> list[str]:
    """Return text in lines of at most `width`; line breaks stay, control characters are escaped."""
    parts = (printable(part.expandtabs(TAB)) for part in redact_text(text).split("\n"))
    return [line for part in parts for line in textwrap.wrap(part, width) or [""]]
