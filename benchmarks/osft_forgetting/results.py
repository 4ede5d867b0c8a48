"""The file of results: one JSON line for each training that ended."""

import json
from pathlib import Path
from typing import Any

from osft_forgetting.grid import Training

Line = dict[str, Any]


def read(file: Path) -> list[Line]:
    """Return the lines of a file; none where it is not there."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def left(file: Path, wanted: list[Training]) -> list[Training]:
    """Return the trainings that have no line yet."""
    lines = read(file)
    done = [{name: line[name] for name in training.key()} for training in wanted[:1] for line in lines]
    return [training for training in wanted if training.key() not in done]


def add(file: Path, line: Line) -> None:
    """Add a line; a file that was cut off within one is refused by the next reader."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
