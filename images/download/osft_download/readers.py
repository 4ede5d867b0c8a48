"""File formats: JSON lines, a JSON array, parquet and CSV, each read row by row in bounded memory.

A reader yields `(place, raw, value)`: the line (JSON lines, CSV) or the row counted from 1 (array, parquet),
the row's own bytes where it has some, and its value or the `BadRow` that says why it has none.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from osft_download.rules import BadRow
from osft_download.sources import DataFile
from osft_workspace import UserError

Row = tuple[int, bytes | None, Any]
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv")
LONGEST_ROW = 64 << 20  # bytes; a longer line is no chat row, and reading it would cost that much memory
SNIFF = 4096
PAIR = 12  # bytes of the two escapes that a character beyond U+FFFF is written with
WHOLE = re.compile(
    rb"(?:[^\\]++|\\(?:[^u]|u(?![dD][89a-fA-F]).{4}|u[dD][89abAB]..\\u[dD][c-fC-F]..))*+", re.DOTALL
)
BOM = b"\xef\xbb\xbf"
STRANGERS = {
    b"\x1f\x8b": "is packed with gzip. Unpack it first",
    b"(\xb5/\xfd": "is packed with zstd. Unpack it first",
    b"PK\x03\x04": "is a zip archive. Unpack it first",
    b"ARROW1": "is an Arrow file. Write it as parquet or JSON lines",
    b"\xff\xfe": "is UTF-16 text. Convert it to UTF-8",
    b"\xfe\xff": "is UTF-16 text. Convert it to UTF-8",
    b"{\0": "is UTF-16 text. Convert it to UTF-8",
    b"version https://git-lfs": "is a Git LFS pointer and not the data. Fetch the data with `git lfs pull`",
}


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines without their line ends; None for a line longer than `LONGEST_ROW`."""
    number = 0
    while line := file.readline(LONGEST_ROW):
        number += 1
        whole = line.endswith(b"\n") or len(line) < LONGEST_ROW
        while line and not line.endswith(b"\n") and not whole:
            line = file.readline(LONGEST_ROW)
        yield number, line.rstrip(b"\r\n") if whole else None


def open_text(path: Path) -> BinaryIO:
    """A file of UTF-8, behind its byte order mark where it has one."""
    file = path.open("rb")
    if file.read(len(BOM)) != BOM:
        file.seek(0)
    return file


def read_json_lines(source: DataFile) -> Iterator[Row]:
    """One JSON value a line; empty lines are no rows."""
    with open_text(source.path) as file:
        for number, line in lines(file):
            if line is None:
                yield number, None, BadRow("too-long", f"the line is longer than {LONGEST_ROW >> 20} MiB")
            elif line.strip():
                try:
                    yield number, line, orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    yield number, line, no_json(line, error)


def no_json(line: bytes, error: orjson.JSONDecodeError) -> BadRow:
    """Why a line is no JSON; orjson tells wrong bytes like wrong characters."""
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return BadRow("not-utf8", f"not UTF-8 at byte {wrong.start + 1}: convert the file to UTF-8")
    what = str(error).split(": line", 1)[0]
    if what == "unexpected end of data":
        what += " (a row is one line)"
    return BadRow("not-json", f"not JSON at column {error.pos + 1}: {what}")


def read_json_array(source: DataFile) -> Iterator[Row]:
    """The items of one JSON array.

    Raises:
        UserError: the array is broken; what follows the break cannot be read.
    """
    import ijson

    number = 0
    with open_text(source.path) as file:
        try:
            for number, item in enumerate(ijson.items(WholeText(file), "item", use_float=True), 1):
                yield number, None, item
        except (ijson.JSONError, HalfCharacter) as error:
            raise UserError(
                f"{source.name} is a JSON array that breaks after item {number}: {broken(error)}. Write it "
                "again, or as JSON lines, where one bad row spoils no other."
            ) from error


class HalfCharacter(Exception):
    """One half of a pair of escapes without the other, which is no text."""


class WholeText:
    """A file of JSON that is looked at while ijson reads it, which writes `?` for half a character."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.rest = file, b""

    def read(self, size: int = -1) -> bytes:
        """As the file's own. Raises HalfCharacter."""
        piece = self.file.read(size)
        text = self.rest + piece
        good = WHOLE.match(text)
        self.rest = text[good.end() :] if good else text  # an escape, perhaps cut off by the end of the piece
        if len(self.rest) >= PAIR or (self.rest and size and not piece):
            raise HalfCharacter(f"half a character ({self.rest[:6].decode('ascii', 'replace')}) follows")
        return piece


def broken(error: Exception) -> str:
    """Why an array breaks; ijson has its own way to say so."""
    said = str(error)
    if "integer overflow" in said:
        return "an integer there needs more than 64 bits, which only JSON lines may hold"
    if "UTF8" in said:
        return "there is text that is not UTF-8"
    return said.strip().splitlines()[0].rstrip(".")


def read_parquet(source: DataFile) -> Iterator[Row]:
    """Rows of a parquet file. Nulls are dropped: there a missing key and a null are the same.

    Raises:
        UserError: it is cut off or damaged, or has two columns of one name.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(source.path, pre_buffer=False) as table:
            check_names(source, table.schema_arrow.names)
            for batch in table.iter_batches(batch_size=256, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield number, None, without_nulls(row)
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        why = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(f"{source.name} is no whole parquet file: {why}. Load or write it again.") from error


def without_nulls(value: Any) -> Any:
    """A value without the keys whose value is null, at every depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return (
            [without_nulls(item) for item in value] if value and isinstance(value[0], dict | list) else value
        )
    return value


def read_csv(source: DataFile, delimiter: str = ",") -> Iterator[Row]:
    """Rows of a CSV file with a header line; all values are text.

    Raises:
        UserError: it is not UTF-8, or has two columns of one name.
    """
    csv.field_size_limit(LONGEST_ROW)
    with source.path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next((cells for cells in rows if any(cells)), [])
            check_names(source, header)
            for cells in rows:
                if not cells:
                    continue
                if len(cells) == len(header):
                    yield rows.line_num, None, dict(zip(header, cells, strict=True))
                else:
                    why = f"{len(cells)} cells, the header has {len(header)}"
                    yield rows.line_num, None, BadRow("wrong-cells", why)
        except UnicodeDecodeError as error:
            raise UserError(f"{source.name} is not UTF-8 after line {rows.line_num}. Convert it.") from error
        except csv.Error as error:
            raise UserError(
                f"{source.name} line {rows.line_num}: no CSV: {error}. Quote it as CSV."
            ) from error


def check_names(source: DataFile, names: list[str]) -> None:
    """A column can be meant by its name only when no other has it. Raises UserError."""
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UserError(f"{source.name} has two columns {twice[0]!r}. Rename one of them.")


def read_tsv(source: DataFile) -> Iterator[Row]:
    """As CSV, with tabs."""
    return read_csv(source, "\t")


def reader_for(file: DataFile) -> Callable[[DataFile], Iterator[Row]]:
    """The reader that fits a file's first bytes and name.

    Raises:
        UserError: it is a web page, packed, a pointer, or nothing that is read here.
    """
    with file.path.open("rb") as opened:
        start = opened.read(SNIFF)
    if start.startswith(b"PAR1"):
        return read_parquet
    for mark, sentence in STRANGERS.items():
        if start.startswith(mark):
            raise UserError(f"{file.name} {sentence}.")
    text = start.removeprefix(BOM).lstrip()
    suffix = Path(file.name).suffix.lower()
    if text[:1] == b"<" and suffix not in (".csv", ".tsv"):
        raise UserError(
            f"{file.name} is a web page and not data (it begins with {shown(text)}). Is it a login page, "
            "or a page about the file? Use an address that answers with the file itself."
        )
    if text[:1] == b"[":
        return read_json_array
    if suffix in (".csv", ".tsv"):
        return read_tsv if suffix == ".tsv" else read_csv
    if text[:1] in (b"{", b"") or suffix in (".jsonl", ".ndjson", ".json"):
        return read_json_lines
    raise UserError(
        f"{file.name} is none of JSON lines, JSON array, parquet and CSV: it begins with {shown(text)}. "
        f"Name it after its format ({', '.join(SUFFIXES)}) if it is one."
    )


def shown(start: bytes) -> str:
    """The first characters of a file, safe to print."""
    return repr(io.TextIOWrapper(io.BytesIO(start), "utf-8", "replace").read(40))
