"""Which dataset each task of lm-eval asks, from a table that `scripts/benchmark-table` makes.

This image has no lm-eval: with what it needs it would be twice as large.
"""

import difflib
import fnmatch
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from osft_workspace import UserError, excerpt
from osft_workspace.benchmarks import Wanted

TABLE = Path(__file__).parent / "lm_eval.tsv"
LOCAL = "local"
WHY_NOT = {
    "unsafe": "it runs code that the model writes, or shows it images or sounds. Neither is done here",
    "code": "its items are made by a function that fetches them itself, so the download stage cannot",
    "elsewhere": "its items lie on another server than the hub",
}
"""Words of the table that stand in place of a dataset."""


@dataclass(frozen=True, slots=True)
class Table:
    """Tasks and groups by name."""

    version: str
    """Of lm-eval."""
    cells: Sequence[str]
    """A dataset as JSON, `local`, or a key of `WHY_NOT`."""
    tasks: dict[str, int]
    groups: dict[str, Sequence[int]]

    def matches(self, name: str) -> list[str]:
        """Return the tasks and groups that a name or a pattern stands for, as lm-eval matches them."""
        if name in self.tasks or name in self.groups:
            return [name]
        return fnmatch.filter([*self.tasks, *self.groups], name)

    def of(self, name: str) -> list[Wanted]:
        """Return what a task or a group asks of the hub.

        Raises:
            UserError: it asks for something that cannot be downloaded.
        """
        cells = [self.tasks[name]] if name in self.tasks else self.groups[name]
        return [found for cell in cells if (found := wanted_of(name, self.cells[cell])) is not None]


def wanted_of(name: str, cell: str) -> Wanted | None:
    """Return what a cell of the table says; None for items that need no hub."""
    if cell == LOCAL:
        return None
    if cell in WHY_NOT:
        raise cannot_be_staged(name, cell)
    return Wanted(**json.loads(cell))


def cannot_be_staged(name: str, why: str) -> UserError:
    """Return the sentence for a task whose items cannot be downloaded."""
    return UserError(
        f"the items of {excerpt(name)!r} in eval.tasks cannot be downloaded: {WHY_NOT[why]}. Remove it from "
        "eval.tasks."
    )


def unknown(name: str, names: Sequence[str]) -> UserError:
    """Return the sentence for a name that stands for nothing."""
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.6)
    hint = f"Near: {', '.join(near)}." if near else "No task has a similar name."
    return UserError(
        f"eval.tasks names {excerpt(name)!r}, expected a task of lm-eval {read().version}, of this pipeline "
        f"or of eval.includePath. {hint} Correct eval.tasks."
    )


@lru_cache(maxsize=1)
def read() -> Table:
    """Read the table that comes with this package."""
    lines = iter(TABLE.read_text(encoding="utf-8").splitlines())
    version = next(lines).removeprefix("# lm_eval ")
    cells: list[str] = []
    tasks: dict[str, int] = {}
    for line in lines:
        if line == "# groups":
            break
        cell, *names = line.split("\t")
        tasks |= dict.fromkeys(names, len(cells))
        cells.append(cell)
    pairs = (line.split("\t") for line in lines)
    return Table(version, cells, tasks, {name: list(numbers(text)) for name, text in pairs})


def numbers(text: str) -> Iterator[int]:
    """`1-3,7` -> 1, 2, 3, 7."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
