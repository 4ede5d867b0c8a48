"""The tables of docs/migration.md, which say what takes the place of each parameter of another system."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from osft_pipeline.chart import PACKAGE

NAME = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter of another system."""

    theirs: str
    ours: str
    """Key of the values; empty where there is none."""
    part: str
    """What stands behind the key in brackets: a key inside it, or the value that it takes."""
    note: str
    """What the table says beside the name, or why no key takes its place."""


def page() -> str:
    """Return the page: the copy in this package, or the checkout's for an editable install."""
    carried = PACKAGE / "migration.md"
    found: Path = carried if carried.is_file() else PACKAGE.parents[1] / "docs" / "migration.md"
    return found.read_text()


@cache
def tables() -> dict[str, dict[str, Row]]:
    """Return the rows of each section by the other system's name."""
    found: dict[str, dict[str, Row]] = {}
    section = ""
    for line in page().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").replace("`", "")
        for row in rows_of(line):
            found.setdefault(section, {})[row.theirs] = row
    return found


def rows_of(line: str) -> Iterator[Row]:
    """Yield the row of a line, where it is one."""
    cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
    theirs = NAME.match(cells[0]) if cells else None
    if theirs is None:
        return
    note = cells[0][theirs.end() :].strip().strip("()")
    if cells[1].startswith("none: "):
        yield Row(theirs[1], "", "", cells[1].removeprefix("none: ").rstrip(" |"))
    elif cells[1].startswith("`helm "):
        yield Row(theirs[1], "", "", f"given on the command line: {cells[1].strip('`')}")
    else:
        names = NAME.findall(cells[1])
        yield Row(theirs[1], names[0], names[1] if len(names) > 1 else "", note)
