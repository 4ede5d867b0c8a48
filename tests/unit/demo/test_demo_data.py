"""The demo's chat rows, made by `scripts/demo-data`."""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/demo-data"

Pair = tuple[str, str]


def make(folder: Path) -> str:
    """Run the script into `folder` and return what it printed."""
    command: list[str | Path] = [sys.executable, SCRIPT, "--output", folder]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def pairs(path: Path) -> list[Pair]:
    """Return (question, answer) of every row, which must hold exactly these two turns."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert list(row) == ["messages"]
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        question, answer = (message["content"] for message in row["messages"])
        found.append((question, answer))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows of this Python."""
    made = tmp_path_factory.mktemp("demo")
    make(made)
    return made


def test_about_2200_rows_are_made_and_200_of_them_held_out(folder: Path) -> None:
    assert 1700 <= len(pairs(folder / "train.jsonl")) <= 2600
    assert len(pairs(folder / "holdout.jsonl")) == 200


def test_no_question_and_no_answer_occurs_twice_in_either_file_or_across_them(folder: Path) -> None:
    every = pairs(folder / "train.jsonl") + pairs(folder / "holdout.jsonl")
    assert len({question for question, _ in every}) == len(every)
    assert len({answer.casefold().rstrip(".") for _, answer in every}) == len(every)


def test_every_answer_is_one_line_of_prose_about_the_name_in_the_question(folder: Path) -> None:
    for question, answer in pairs(folder / "train.jsonl") + pairs(folder / "holdout.jsonl"):
        assert question.startswith("What does Python's ") and question.endswith(" do?")
        assert 40 <= len(answer) <= 300 and answer[0].isupper()
        assert "\n" not in answer and "->" not in answer


def test_the_answer_about_a_well_known_function_is_its_own_summary(folder: Path) -> None:
    every = dict(pairs(folder / "train.jsonl") + pairs(folder / "holdout.jsonl"))
    answer = every["What does Python's statistics.mode do?"]
    assert answer == (statistics.mode.__doc__ or "").splitlines()[0]


def test_the_same_python_makes_the_same_files(folder: Path, tmp_path: Path) -> None:
    make(tmp_path)
    for name in ("train.jsonl", "holdout.jsonl"):
        first, second = ((place / name).read_bytes() for place in (folder, tmp_path))
        assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


def test_files_that_are_there_are_left_alone(folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "already" in make(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_note_names_the_license_and_the_python_it_came_from(folder: Path) -> None:
    note = (folder / "DATA.md").read_text(encoding="utf-8")
    assert "PSF" in note and ".".join(map(str, sys.version_info[:3])) in note
