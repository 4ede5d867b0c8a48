"""Rows that stand behind one another in a batch stay apart in the loss.

mini-trainer 0.9.0 packs rows into one sequence, whose labels the model shifts by one. A first label that
counts (blocks of plain text have one, token ids of the user's may) is so predicted from the last token of
another row, and is not among the tokens that the sum is divided by.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from osft_rows.labels import IGNORED
from osft_train.patches import original, put

COLLATE = "mini_trainer.sampler:mb_collate_fn"


def apart(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with a first token that is not learned, because nothing of the row stands before it."""
    labels = row["labels"].clone()
    labels[:1] = IGNORED
    return {**row, "labels": labels}


def install() -> None:
    """Put it in place."""
    collate = original(COLLATE)

    def collate_apart(rows: Sequence[Mapping[str, Any]], *counts: Any) -> Any:
        return collate([apart(row) for row in rows], *counts)

    put(COLLATE, collate_apart)
