"""The sizes of a parquet file's pages, from the headers that stand before them.

A page is unpacked as a whole when its first row is read, and a page of gigabytes packs into kilobytes; the
file's own description of itself does not say how large its pages are, and pyarrow does not report it.
"""

from collections.abc import Iterator
from io import BufferedReader
from typing import Any

HEADER = 1 << 13  # bytes that are read of a page; its header is some 30 and two values
LONGEST_HEADER = 1 << 24
LONG_LIST = 15  # the length of such a list follows its header
FIXED = {1: 0, 2: 0, 3: 1, 7: 8}
VARINTS, BINARY, STRUCT = (4, 5, 6), 8, 12
"""Types of Thrift's compact protocol, in which the headers are written."""


def largest_page(file: BufferedReader, group: Any) -> int:
    """Return the bytes of the largest page of a row group, unpacked.

    Raises:
        ValueError: what stands there is not a page.
    """
    columns = [group.column(number) for number in range(group.num_columns)]
    return max((size for column in columns for size in sizes(file, column)), default=0)


def columns_of(file: BufferedReader, footer: int) -> int:
    """Return how many columns a file has, each level of a nested one counted, by its footer's first bytes.

    A footer that begins otherwise is left to pyarrow.
    """
    file.seek(max(file.seek(0, 2) - 8 - footer, 0))
    begin = Header.__new__(Header)
    begin.text, begin.length = file.read(32), 0
    try:
        version, _, schema, count = begin.byte(), begin.varint(), begin.byte(), begin.byte()
        if version != 0x15 or schema != 0x19:  # field 1, a number; field 2, a list
            return 0
        return count >> 4 if count >> 4 < LONG_LIST else begin.varint()
    except IndexError:
        return 0


def sizes(file: BufferedReader, column: Any) -> Iterator[int]:
    """Yield the unpacked size of each page of a column."""
    starts = (column.dictionary_page_offset, column.data_page_offset)
    place = min(start for start in starts if start)
    end = place + column.total_compressed_size
    while place < end:
        header = Header.at(file, place)
        yield header.unpacked
        place += header.length + header.packed


class Header:
    """One page header: its own length and the two sizes of its page."""

    def __init__(self, text: bytes) -> None:
        self.text, self.length = text, 0
        found = dict(self.fields())
        self.unpacked, self.packed = found.get(2, -1), found.get(3, -1)
        if min(self.unpacked, self.packed) < 0:
            raise ValueError("a page header is damaged")

    @classmethod
    def at(cls, file: BufferedReader, place: int) -> "Header":
        """Read the header at a place; most are short. Raises ValueError."""
        size = HEADER
        while True:
            file.seek(place)
            text = file.read(size)
            try:
                return cls(text)
            except IndexError as error:
                if len(text) < size or size >= LONGEST_HEADER:
                    raise ValueError("a page header is cut off") from error
                size *= 8

    def byte(self) -> int:
        self.length += 1
        return self.text[self.length - 1]

    def varint(self) -> int:
        value = shift = 0
        while (byte := self.byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def number(self) -> int:
        """Return a signed number, in zigzag."""
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the whole numbers of a struct by their field, and pass over everything else."""
        field = 0
        while (head := self.byte()) & 0x0F:
            field = field + (head >> 4) if head >> 4 else self.number()
            if head & 0x0F in VARINTS:
                yield field, self.number()
            else:
                self.skip(head & 0x0F)

    def skip(self, kind: int) -> None:
        """Pass over one value."""
        if kind in FIXED:
            self.length += FIXED[kind]
        elif kind in VARINTS:
            self.varint()
        elif kind == BINARY:
            size = self.varint()
            self.length += size
        elif kind == STRUCT:
            list(self.fields())
        else:  # lists and maps do not occur in page headers
            raise ValueError(f"a page header holds a value of type {kind}")
        if self.length > len(self.text):
            raise IndexError
