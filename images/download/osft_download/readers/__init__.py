"""File formats: JSON lines, a JSON array, parquet, Arrow and CSV, each read row by row in bounded memory."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath

from osft_download.names import SUFFIXES, plain
from osft_download.readers.cells import read_cells
from osft_download.readers.json_text import read_json_array, read_json_lines
from osft_download.readers.packed import DAMAGE, PACKINGS, open_plain, packing
from osft_download.readers.row import BOM, Row, Say
from osft_download.readers.tables import read_arrow, read_parquet
from osft_download.sources import DataFile
from osft_workspace import UserError, printable
from osft_workspace.limits import limited_memory

__all__ = ["Row", "Say", "bounded", "read_rows"]
SNIFF = 4096
MEMORY = 128 << 20
"""Bytes that reading may take beyond what the stage has."""
TABLES: dict[bytes, Callable[[DataFile], Iterator[Row]]] = {
    b"PAR1": read_parquet,
    b"ARROW1": partial(read_arrow, stream=False),
    b"\xff\xff\xff\xff": partial(read_arrow, stream=True),
}
STRANGERS: dict[bytes, str] = {
    **dict.fromkeys(PACKINGS, "is compressed twice. Decompress it first"),
    b"PK\x03\x04": "is a zip archive. Unpack it first",
    b"\xff\xfe": "is UTF-16 text. Convert it to UTF-8",
    b"\xfe\xff": "is UTF-16 text. Convert it to UTF-8",
    b"{\0": "is UTF-16 text. Convert it to UTF-8",
    b"version https://git-lfs": "is a Git LFS pointer and not the data. Fetch the data with `git lfs pull`",
}
TAR = slice(257, 262)


def read_rows(file: DataFile, say: Say) -> Iterator[Row]:
    """Yield the rows of a file; `say` is given the choices that reading it needs.

    Raises:
        UserError: it is not a file of rows, or damaged.
    """
    try:
        yield from opened(file, say)
    except DAMAGE as error:
        raise broken_off(file, str(error)) from error
    except OSError as error:
        if error.errno:
            raise
        raise broken_off(file, str(error)) from error  # pyarrow's own, such as that of zstd


@contextmanager
def bounded(file: DataFile) -> Iterator[None]:
    """Bound the memory of reading a file and judging its rows.

    Raises:
        UserError: one part of the file does not fit into it.
    """
    try:
        with limited_memory(MEMORY):
            yield
    except MemoryError as error:
        raise UserError(
            f"reading {printable(file.name)} takes more than {MEMORY >> 20} MiB of memory, expected less: a "
            "page of parquet, a batch of Arrow and a row are read as a whole. Write it again with smaller "
            "row groups or batches, or as JSON lines."
        ) from error


def broken_off(file: DataFile, why: str) -> UserError:
    """Return the sentence for a packed file that cannot be decompressed completely."""
    return UserError(
        f"{printable(file.name)} cannot be decompressed completely: {printable(why.rstrip('.'), 200)}. "
        "Expected a complete compressed file of rows: download or compress it again."
    )


def opened(file: DataFile, say: Say) -> Iterator[Row]:
    """Return the rows by the reader that fits a file's first bytes and name.

    Raises:
        UserError: it is a web page, an archive, a pointer, or nothing that is read here.
    """
    with open_plain(file.path) as begun:
        start = begun.read(SNIFF)
    name = printable(file.name)
    for mark, read_table in TABLES.items():
        if start.startswith(mark):
            if packing(file.path):
                raise UserError(f"{name} is a compressed table, expected an uncompressed one: decompress it.")
            return read_table(file)
    strange = [sentence for mark, sentence in STRANGERS.items() if start.startswith(mark)]
    if start[TAR] == b"ustar":
        strange = ["is a tar archive. Unpack it first"]
    if strange:
        raise UserError(f"{name} {strange[0]}.")
    return read_text(file, start.removeprefix(BOM).lstrip(), say)


def read_text(file: DataFile, start: bytes, say: Say) -> Iterator[Row]:
    """Return the rows of a file of text that begins with `start`."""
    name, suffix = printable(file.name), PurePosixPath(plain(file.name)).suffix.lower()
    if start[:1] == b"<" and suffix not in (".csv", ".tsv"):
        raise UserError(
            f"{name} is a web page and not data (it begins with {beginning(start)}). Is it a login page, "
            "or a page about the file? Use an address that answers with the file itself."
        )
    if start[:1] == b"[":
        return read_json_array(file)
    if suffix in (".csv", ".tsv"):
        return read_cells(file, say, "\t" if suffix == ".tsv" else ",")
    if start[:1] in (b"{", b"") or suffix in (".jsonl", ".ndjson", ".json"):
        return read_json_lines(file)
    raise UserError(
        f"{name} is not JSON lines, a JSON array, parquet, Arrow or CSV: it begins with {beginning(start)}. "
        f"Name it after its format ({', '.join(SUFFIXES)}) if it is one of them."
    )


def beginning(start: bytes) -> str:
    """Return the first characters of a file, safe to print."""
    return printable(repr(io.TextIOWrapper(io.BytesIO(start), "utf-8", "replace").read(40)))
