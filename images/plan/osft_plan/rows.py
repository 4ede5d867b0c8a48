"""The rows as a plan sees them: how many there are of each length, and how many are dropped."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from osft_workspace import Record, UserError

LENGTH = re.compile(rb'"len": ?(\d+)')
TAIL = 200
"""Bytes at the end of a line of tokens in which its length stands."""
SPREAD = 3.0
"""Standard deviations by which the largest batch of a run is above the mean."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to train on."""

    lengths: Mapping[int, int]
    """Tokens -> rows of that length."""
    dropped: int = 0
    """Rows that download left out for their length, or because nothing of them is learned."""
    assumed: str = ""
    """Why this is not what training will read; empty where it is."""

    @classmethod
    def of_record(cls, download: Record, workspace: Path) -> Self:
        """Return the rows that a download left.

        Raises:
            UserError: the record names no tokens.
        """
        counts, tokens = download.details["rows"], download.details.get("tokens")
        if not isinstance(tokens, dict):
            raise UserError(
                f"the download record of run {download.run_id} names no tokens: it was written by an earlier "
                "version. Run download again with the image of this version."
            )
        dropped = sum(counts.get(f"dropped_{why}", 0) for why in ("short", "long", "silent"))
        return cls(read_lengths(download.shared_path(workspace, tokens["path"]) / "train.jsonl"), dropped)

    @classmethod
    def alike(cls, rows: int, tokens: int) -> Self:
        """Return rows of one length."""
        return cls({tokens: rows}, assumed=f"{rows:,} rows of {tokens:,} tokens each")

    @property
    def count(self) -> int:
        """Rows."""
        return sum(self.lengths.values())

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return sum(length * rows for length, rows in self.lengths.items())

    @property
    def longest(self) -> int:
        """Tokens of the longest row; 0 without rows."""
        return max(self.lengths, default=0)

    @property
    def dropped_share(self) -> float:
        """Share of all rows that is not trained on."""
        return self.dropped / max(self.dropped + self.count, 1)

    def below(self, longest: int) -> "Rows":
        """Return the rows of fewer tokens than `longest`; the others count as dropped."""
        kept = {length: rows for length, rows in self.lengths.items() if length < longest}
        lost = self.count - sum(kept.values())
        return Rows(kept, self.dropped + lost, self.assumed) if lost else self

    def blocks(self, size: int) -> "Rows":
        """Return plain text in blocks of so many tokens."""
        return Rows({size: math.ceil(self.tokens / size)} if self.tokens else {}, 0, self.assumed)

    def largest_batch(self, rows: int) -> int:
        """Return the tokens of the largest batch that a run will see, of so many rows.

        Batches are drawn at random, so it is the mean and some standard deviations, and never more than the
        longest rows together.
        """
        if not self.count:
            return 0
        rows = min(rows, self.count)
        mean = self.tokens / self.count
        squares = sum(number * (length - mean) ** 2 for length, number in self.lengths.items())
        drawn = rows * mean + SPREAD * math.sqrt(rows * squares / self.count)
        return min(math.ceil(drawn), self.longest_together(rows))

    def longest_together(self, rows: int) -> int:
        """Return the tokens of the longest rows, so many of them."""
        total = 0
        for length, number in sorted(self.lengths.items(), reverse=True):
            taken = min(rows, number)
            total += taken * length
            rows -= taken
        return total


def read_lengths(path: Path) -> Counter[int]:
    """Count the rows of each length in a file of tokens, without reading the tokens as JSON.

    Raises:
        UserError: a line has no length.
    """
    found: Counter[int] = Counter()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            said = LENGTH.findall(line, max(len(line) - TAIL, 0))
            if not said:
                raise UserError(
                    f"line {number} of {path} names no length (len), expected tokens as download leaves "
                    "them. Run download again with the image of this version."
                )
            found[int(said[-1])] += 1
    return found
