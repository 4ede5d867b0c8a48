"""Checked rows on disk between reading and writing: what they are, and where they came from."""

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self


class Place(NamedTuple):
    """Where a row came from."""

    file: str
    line: int
    """Its line in a text file, or its number in an array or a table, from 1."""


class Spool:
    """Checked rows of one set on disk, and where each begins: 8 bytes of memory a row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offsets = array("Q")
        self.end = 0
        self.names: list[str] = []
        self.file: BinaryIO = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.file.close()

    def add(self, line: bytes, place: Place) -> None:
        """Append one row."""
        if not self.names or self.names[-1] != place.file:
            self.names.append(place.file)
        self.offsets.append(self.end)
        self.end += self.file.write(b"%d %d %b\n" % (len(self.names) - 1, place.line, line))

    def read(self, offsets: Iterable[int]) -> Iterator[tuple[Place, bytes]]:
        """Yield the rows at these offsets, in this order."""
        with self.path.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                name, line, row = file.readline().split(b" ", 2)
                yield Place(self.names[int(name)], int(line)), row.rstrip(b"\n")
