"""The seeded split: which rows train, which are held out, in which order. Nothing here holds rows."""

import random
from array import array

import numpy as np
from numpy.typing import NDArray


def pick(offsets: "array[int]", subset: int, *, shuffle: bool, seed: int) -> "array[int]":
    """Return the rows that are used, in their final order; `offsets` itself may be reordered.

    With `shuffle` all rows are shuffled and the first `subset` kept; without it `subset` rows are drawn and
    stay in the order of the source. 0 keeps all.
    """
    rng = random.Random(seed)
    wanted = subset if 0 < subset < len(offsets) else len(offsets)
    if shuffle:
        rng.shuffle(offsets)
        return offsets[:wanted]
    if wanted == len(offsets):
        return offsets
    kept: array[int] = array("Q")
    for seen, offset in enumerate(offsets):
        # Each row is taken with the chance that fills the rest exactly (Knuth, selection sampling).
        if rng.random() * (len(offsets) - seen) < wanted - len(kept):
            kept.append(offset)
    return kept


def train_rows(rows: int, fraction: float) -> int:
    """How many of `rows` train; a fraction below 1 leaves at least one row on each side of two or more."""
    if fraction >= 1 or rows < 2:
        return rows
    return min(max(round(rows * fraction), 1), rows - 1)


def held_out(
    digests: NDArray[np.uint64], fraction: float, together: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Return which rows are held out: the last ones, so that `fraction` of all trains.

    Args:
        digests: of the rows in their order; equal rows have equal digests.
        together: which rows are kept on one side with those that equal them: the rows that train when they
            are not held out. None: no row is.
    """
    held: NDArray[np.bool_] = np.arange(len(digests)) >= train_rows(len(digests), fraction)
    if together is not None:
        held[together] = groups_held_out(digests[together], fraction)
    return held


def groups_held_out(digests: NDArray[np.uint64], fraction: float) -> NDArray[np.bool_]:
    """As `held_out`, equal rows on one side.

    The split goes by the first of them, and as long as there are two different rows each side has one.
    """
    border = train_rows(len(digests), fraction)
    _, first, group, copies = np.unique(digests, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rows_so_far = np.cumsum(copies[order])
    train_groups = int(np.searchsorted(rows_so_far, border)) + 1
    if fraction < 1 and len(order) > 1:
        train_groups = min(train_groups, len(order) - 1)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    held: NDArray[np.bool_] = rank[group] >= train_groups
    return held
