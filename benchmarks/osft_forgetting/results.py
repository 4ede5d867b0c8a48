"""The files of results: one JSON line for each training, or chain of trainings, that ended."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osft_forgetting.grid import Planned

Line = dict[str, Any]


def read(file: Path) -> list[Line]:
    """Return the lines of a file; none where it is not there."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def left(file: Path, wanted: Sequence[Planned]) -> list[Planned]:
    """Return what has no line yet."""
    done = [{name: line[name] for name in one.key()} for one in wanted[:1] for line in read(file)]
    return [one for one in wanted if one.key() not in done]


def add(file: Path, line: Line) -> None:
    """Add a line; a file that was cut off within one is refused by the next reader."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
