"""Files opened for reading from their start, unpacked on the way where they are packed.

Nothing is unpacked as a whole: readers ask for as much as they hold of one row.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from osft_workspace import UserError, printable

GZIP, ZSTD, XZ, BZIP2 = b"\x1f\x8b", b"(\xb5/\xfd", b"\xfd7zXZ\0", b"BZh"
PACKINGS = (GZIP, ZSTD, XZ, BZIP2)
MOST_XZ_MEMORY = 96 << 20  # bytes; what xz -9 writes needs 65 MiB
ALWAYS, MOST_TIMES = 1 << 30, 1000
"""Bytes that any file may unpack to, and how many times its size a larger one may."""
PIECE = 1 << 18
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What is raised while a damaged file is unpacked; zstd raises OSError without a number."""


class Xz(io.RawIOBase):
    """An xz file, unpacked within a bound of memory, which the standard library's own class does not have."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.unpacker = file, self.fresh()

    def fresh(self) -> lzma.LZMADecompressor:
        """Return an unpacker for one of the streams that a file may join."""
        return lzma.LZMADecompressor(memlimit=MOST_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while True:
            piece = b""
            if self.unpacker.eof:
                piece = self.unpacker.unused_data.lstrip(b"\0") or self.file.read(PIECE)
                if not piece:
                    return 0
                self.unpacker = self.fresh()
            elif self.unpacker.needs_input:
                piece = self.file.read(PIECE)
                if not piece:
                    raise EOFError("the file ends before the end of its last stream")
            data = self.unpacker.decompress(piece, len(view))
            if data:
                view[: len(data)] = data
                return len(data)


def open_file(path: Path) -> io.BufferedReader:
    """Open a regular file; links are resolved before, and what became one meanwhile is not followed.

    Raises:
        UserError: it is a pipe, a socket, a device or a link.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise UserError(f"{printable(path)} is not a regular file. Name a file of rows, or a folder of them.")
    return os.fdopen(number, "rb")


def packing(path: Path) -> bytes | None:
    """Return the mark of what a file is packed with, or None."""
    with open_file(path) as file:
        start = file.read(max(map(len, PACKINGS)))
    return next((mark for mark in PACKINGS if start.startswith(mark)), None)


class Allowance:
    """How many bytes a file may unpack to: far more than text ever does, less than fills a disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.most = max(ALWAYS, MOST_TIMES * path.stat().st_size)
        self.used = 0

    def take(self, count: int) -> None:
        """Count unpacked bytes. Raises UserError when they are more than allowed."""
        self.used += count
        if self.used > self.most:
            raise UserError(
                f"{printable(self.path.name)} unpacks to more than {self.most:,} bytes, expected at most "
                f"{MOST_TIMES} times its size, or {ALWAYS >> 30} GiB. Name a file that holds rows; if it "
                "does, unpack it, or split it into several files."
            )


class Counted(io.RawIOBase):
    """An unpacked stream that is held to its file's allowance."""

    def __init__(self, stream: Any, allowance: Allowance) -> None:
        self.stream, self.allowance = stream, allowance

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.stream.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        count = self.stream.readinto(buffer)
        self.allowance.take(count)
        return int(count)


def unpacked(path: Path, mark: bytes) -> Any:
    """Open a packed file as a raw stream of what it holds."""
    if mark == ZSTD:
        import pyarrow

        return pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd")
    file = open_file(path)
    if mark == GZIP:
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if mark == BZIP2 else Xz(file)


def open_plain(path: Path) -> io.BufferedReader:
    """Open a file; what is packed is read as what it holds, and may be as large as its allowance."""
    mark = packing(path)
    if mark is None:
        return open_file(path)
    return io.BufferedReader(Counted(unpacked(path, mark), Allowance(path)), PIECE)
