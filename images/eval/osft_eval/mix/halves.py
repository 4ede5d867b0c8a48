"""Which items choose the share and which judge the model that goes on: no item does both."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from osft_eval.holdout import Holdout

T = TypeVar("T")
CHOOSING, JUDGING = "choosing", "judging"


@dataclass(frozen=True, slots=True)
class Half:
    """One half of the items of every task and of the held-out rows."""

    name: str
    """`choosing` or `judging`."""
    seed: int

    def of(self, what: str, count: int) -> list[int]:
        """Return the places of this half's items among so many, in order.

        Which half an item is in depends on the seed, on `what` it belongs to and on its place alone, so that
        every model is asked the same items. Of an odd number, the judging half gets one more.
        """
        order = sorted(range(count), key=lambda place: lot(self.seed, what, place))
        middle = count // 2
        return sorted(order[:middle] if self.name == CHOOSING else order[middle:])

    def rows_of(self, rows: Holdout, generate: int) -> Holdout:
        """Return this half of the held-out rows.

        Args:
            generate: how many of the judging ones are answered too.
        """
        own = picked(rows.rows, self.of("held-out rows", len(rows.rows)))
        answered = [row for row in own if row.can_answer] if self.name == JUDGING else []
        return replace(rows, rows=own, generated=answered[:generate])


def lot(seed: int, what: str, place: int) -> bytes:
    """Return what an item is sorted by."""
    return hashlib.sha256(f"{seed}/{what}/{place}".encode()).digest()


def picked(values: Sequence[T], places: Sequence[int]) -> list[T]:
    """Return the values at some places."""
    return [values[place] for place in places]
