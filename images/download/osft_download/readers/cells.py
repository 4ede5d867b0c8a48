"""Rows of CSV and of what spreadsheets write instead: other separators, spaces behind commas."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from osft_download.formats import COLUMNS
from osft_download.readers.packed import open_plain
from osft_download.readers.row import MOST_COLUMNS, Row, Say
from osft_download.rules import RejectedRow, shown
from osft_download.sources import DataFile
from osft_workspace import UserError, printable

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
SEP_LINE = re.compile(r'"?sep=([^"\w\s]|\t)"?[\r\n]*', re.IGNORECASE)
"""The first line by which Excel names the separator; it is not a header."""
PIECE = 1 << 20
LONGEST_CELLS = 4 << 20  # characters of a row, which the csv module holds in four bytes each


class Lines:
    """The lines of a file, counted; one row of them is bounded."""

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self.text, self.name = text, name
        self.number, self.row, self.held = 0, 1, 0
        self.ahead: str | None = None

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line, self.ahead = self.peek(), None
        if not line:
            raise StopIteration
        self.number += 1
        self.held += len(line)
        if self.held >= LONGEST_CELLS:
            raise UserError(
                f"{self.name} line {self.row} begins a row of more than {LONGEST_CELLS >> 20} Mi "
                "characters, expected a row of CSV. Close its quotes, or write JSON lines."
            )
        return line

    def peek(self) -> str:
        """Return the next line, which stays the next one; empty at the end."""
        if self.ahead is None:
            self.ahead = self.text.readline(LONGEST_CELLS)
        return self.ahead

    def next_row(self) -> None:
        """Say that what was read so far is done with."""
        self.row, self.held = self.number + 1, 0


def read_cells(source: DataFile, say: Say, separator: str) -> Iterator[Row]:
    """Yield rows of a CSV file with a header line; all values are text.

    `separator` is what the name of the file promises; a header that holds another one decides.

    Raises:
        UserError: it is not UTF-8, not CSV, or has two columns of one name.
    """
    csv.field_size_limit(LONGEST_CELLS)
    name = printable(source.name)
    with io.TextIOWrapper(open_plain(source.path), encoding="utf-8-sig", newline="") as text:
        lines = Lines(text, name)
        try:
            first, named = header_line(lines, name, say)
            check_width(source, max(map(first.count, SEPARATORS)) + 1)
            separator = named or source.separator or separator_of(lines, first, separator, say)
            spaced = spaces_in(first, separator, name, say)
            rows = csv.reader(
                chain([first], lines), delimiter=separator, strict=True, skipinitialspace=spaced
            )
            header = [cell.strip() for cell in next(rows, [])]
            check_names(source, header)
            lines.next_row()
            for cells in rows:
                if cells and len(cells) == len(header):
                    yield lines.number, None, dict(zip(header, cells, strict=True))
                elif cells:
                    yield lines.number, None, wrong_cells(cells, len(header), separator)
                lines.next_row()
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name} is not UTF-8 in line {line_of_error(source)}, expected UTF-8 text. Convert the file "
                "to UTF-8 (in a spreadsheet: save it as CSV UTF-8)."
            ) from error
        except csv.Error as error:
            raise UserError(
                f"{name} line {lines.number}: not valid CSV: {error}. Quote cells as CSV does, and double "
                "a quote inside a cell."
            ) from error


def cells_of(line: str, separator: str) -> list[str]:
    """Return the cells of a header line, as far as they go."""
    return next(csv.reader([line], delimiter=separator), [])


def header_line(lines: Lines, name: str, say: Say) -> tuple[str, str]:
    """Return the first line that is not empty, and the separator that a `sep=` line before it names."""
    named = ""
    first = next((line for line in lines if line.strip(" ,;|\t\r\n")), "")
    if match := SEP_LINE.fullmatch(first):
        named = match[1]
        written = SEPARATORS.get(named, repr(named))
        line = first.strip("\r\n")
        say(f"separator of {name}", written, f"line {lines.number} is {shown(repr(line))}")
        lines.next_row()
        first = next((line for line in lines if line.strip(f" ,;|\t\r\n{named}")), "")
    return first, named


def separator_of(lines: Lines, line: str, expected: str, say: Say) -> str:
    """Return what separates the cells of a header: another character where that fits better.

    It does where the header would be a single cell, or where the header and the first row have more cells
    that way, as long as no columns of a known format are lost.
    """
    cells = {mark: cells_of(line, mark) for mark in SEPARATORS}
    found = max(SEPARATORS, key=lambda mark: (known(cells[mark]), len(cells[mark]), mark == expected))
    if len(cells[found]) <= len(cells[expected]):
        return expected
    why = f"the header is one cell that holds it, expected {SEPARATORS[expected]} between cells"
    if len(cells[expected]) > 1:
        if len(cells_of(lines.peek(), found)) != len(cells[found]):
            return expected
        why = f"it gives {len(cells[found])} cells in the header and in the first row"
    say(f"separator of {lines.name}", SEPARATORS[found], why)
    return found


def known(header: list[str]) -> int:
    """Return how many cells of a header are columns of a known format."""
    return len({cell.strip() for cell in header} & set(COLUMNS))


def wrong_cells(cells: list[str], expected: int, separator: str) -> RejectedRow:
    """Return the rejection of a row with too many or too few cells, and the cause where it shows."""
    why = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}, the header has {expected}"
    others = [mark for mark in SEPARATORS if len(cells_of(cells[0], mark)) == expected]
    if len(cells) == 1 and others:
        header = SEPARATORS.get(separator, repr(separator))
        why += (
            f"; {SEPARATORS[others[0]]} separates the cells of this row, expected {header} as in the header"
        )
    return RejectedRow("wrong-cells", why)


def line_of_error(source: DataFile) -> int:
    """Return the number of the first line that is not UTF-8; text is decoded ahead of the line being read."""
    number, decoder = 1, codecs.getincrementaldecoder("utf-8")()
    with open_plain(source.path) as file:
        while line := file.readline(PIECE):
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                return number + line[: error.start].count(b"\r")
            number += line.count(b"\r") + line.endswith(b"\n") - line.endswith(b"\r\n")
    return number


def spaces_in(line: str, separator: str, name: str, say: Say) -> bool:
    """Return whether cells begin with spaces that are not theirs, as the header shows."""
    header = cells_of(line, separator)
    spaced = any(cell.startswith(" ") for cell in header[1:])
    if spaced or any(cell != cell.strip() for cell in header):
        why = f"the header holds {shown(repr(next(cell for cell in header if cell != cell.strip())))}"
        say(f"spaces around cells of {name}", "left out" if spaced else "left out of the header", why)
    return spaced


def check_width(source: DataFile, columns: int) -> None:
    """Check that a header can be held. Raises UserError."""
    if columns > MOST_COLUMNS:
        raise UserError(
            f"{printable(source.name)} has {columns:,} columns, expected at most {MOST_COLUMNS:,}. Write it "
            "again with the columns that are read (data.columns)."
        )


def check_names(source: DataFile, names: list[str]) -> None:
    """Check that there are not too many columns, and that no two have one name. Raises UserError."""
    check_width(source, len(names))
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UserError(
            f"{printable(source.name)} has two columns {shown(repr(twice[0]))}. Rename one of them."
        )
