"""The rows of a run before they are encoded, and what becomes of each."""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osft_download.spool import Place, Spool
from osft_rows.encoder import LONG, SHORT, SILENT
from osft_workspace.contents import Encoded

NAMED = 3
"""Rows that are named of each kind that is not used."""
TRAIN, EVAL, REJECTED, OVERLAP = "train", "eval", "rejected", "overlap"
STATES = (TRAIN, EVAL, REJECTED, SHORT, LONG, SILENT, OVERLAP)
"""What becomes of a row."""
ROWS, FACTS, LISTED = "rows.bin", "facts.json", "left-out.jsonl"
"""Files beside the tokens: the state of each row, what the record says, why rows are rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """The rows of a run before they are encoded, and how they are to be split."""

    train: Spool
    order: "array[int]"
    """Offsets of the rows that are used, in their final order."""
    held_out: Spool | None
    """Held-out rows of their own; None: some of `train` are held out."""
    fraction: float
    overlap: str

    def rows(self) -> Iterator[tuple[Place, bytes]]:
        """Yield every row, those to train on first."""
        yield from self.train.read(self.order)
        if self.held_out:
            yield from self.held_out.read(self.held_out.offsets)


@dataclass(slots=True)
class Prepared:
    """The tokens of a run, and what became of its rows."""

    folder: Path
    digest: str
    facts: Encoded
    states: bytes
    """Index into `STATES` for each row of `Sets.rows`."""

    def listed(self) -> Iterator[dict[str, Any]]:
        """Rows that are not used: `row`, `rule` and `reason`, in the order of the rows."""
        with (self.folder / LISTED).open("rb") as file:
            for line in file:
                yield json.loads(line)

    def count(self, state: str) -> int:
        """Return how many rows ended so."""
        return self.states.count(STATES.index(state))

    def first(self, state: str) -> list[int]:
        """Return the numbers of the first rows that ended so; of OVERLAP also where such rows are kept."""
        if state == OVERLAP:
            return list(self.facts["overlap_first"])
        found: list[int] = []
        at = self.states.find(STATES.index(state))
        while at >= 0 and len(found) < NAMED:
            found.append(at)
            at = self.states.find(STATES.index(state), at + 1)
        return found


def chosen(
    rows: Iterable[tuple[Place, bytes]], states: Sequence[int], state: str
) -> Iterator[tuple[Place, bytes]]:
    """Yield the rows that ended in a state, in their order."""
    wanted = STATES.index(state)
    for row, found in zip(rows, states, strict=True):
        if found == wanted:
            yield row
