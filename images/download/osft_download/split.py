"""The seeded split: which rows train, which evaluate, in which order. Nothing here holds rows in memory."""

import random
from array import array
from pathlib import Path

from osft_workspace import Run

TICK = 10_000  # rows between two looks at the progress


def pick(offsets: "array[int]", subset: int, *, shuffle: bool, seed: int) -> "array[int]":
    """The rows that are used, in their final order; `offsets` itself may be reordered.

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


def write_rows(run: Run, spool: Path, offsets: "array[int]", target: Path) -> None:
    """Copy the rows at these offsets, in this order."""
    with (
        run.progress(f"writing {target.name}", total=len(offsets), unit="rows") as bar,
        spool.open("rb") as source,
        target.open("wb") as file,
    ):
        for number, offset in enumerate(offsets, 1):
            source.seek(offset)
            file.write(source.readline())
            if number % TICK == 0:
                bar.update(number)
