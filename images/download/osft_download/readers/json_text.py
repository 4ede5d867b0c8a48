"""Rows written as JSON: one a line, or the items of one array."""

import re
from collections.abc import Iterator
from io import BufferedReader
from itertools import chain, islice

from osft_download.exact import brackets, parse
from osft_download.readers.packed import open_plain
from osft_download.readers.row import BOM, LONGEST_ROW, Row
from osft_download.readers.separated import alone, check_separated
from osft_download.rules import RejectedRow, shown
from osft_download.sources import DataFile
from osft_workspace import UserError, printable

PIECE = 1 << 20
FLAT = rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+'
DEEP = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"|[\[{]' + FLAT + rb"[\]}])*+", re.DOTALL)
"""Up to the next bracket; lists and objects with none inside are passed as a whole."""
SHALLOW = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
RUN = re.compile(rb"[\[{]+|[\]}]+")
OPEN, BRACKETS = b"[{", b"[]{}"
IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
KEY_OF_LIST = re.compile(rb'"((?:[^"\\]|\\.){1,200})"\s*:\s*\[\Z', re.DOTALL)
SPACE = 1000  # bytes of it that may stand before the first item of a list
TURNS = ("messages", "conversations")


def open_text(source: DataFile) -> BufferedReader:
    """Open a file of UTF-8, behind its byte order mark where it has one."""
    file = open_plain(source.path)
    if file.peek(len(BOM))[: len(BOM)] == BOM:
        file.read(len(BOM))
    return file


def lines(file: BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Yield numbered lines without their line ends; None for a line longer than `LONGEST_ROW`."""
    number = 0
    while line := file.readline(LONGEST_ROW):
        number += 1
        whole = line.endswith(b"\n") or len(line) < LONGEST_ROW
        while line and not line.endswith(b"\n") and not whole:
            line = file.readline(LONGEST_ROW)
        yield number, line.rstrip(b"\r\n") if whole else None


def read_json_lines(source: DataFile) -> Iterator[Row]:
    """Yield one JSON value a line; empty lines are not rows.

    Raises:
        UserError: the file is an object that spans several lines, or its rows are not separated by line ends.
    """
    with open_text(source) as file:
        filled = ((number, line) for number, line in lines(file) if line is None or line.strip())
        first = list(islice(filled, 2))
        if len(first) == 2 and spans_lines(*(line for _, line in first)):
            raise UserError(several_lines(source))
        check_separated(source, [parsed(line or b"") for _, line in first])
        for number, line in chain(first, filled):
            if line is None:
                yield (
                    number,
                    None,
                    RejectedRow("too-long", f"the line is longer than {LONGEST_ROW >> 20} MiB"),
                )
            else:
                yield number, line, alone(parsed(line))


def parsed(text: bytes) -> object:
    """Return the value of a JSON text, or the rejection that says why it has none."""
    try:
        return parse(text)
    except RejectedRow as error:
        return error


def spans_lines(first: bytes | None, second: bytes | None) -> bool:
    """Return whether the second line goes on with the object of the first.

    A row that was cut off begins an object too; what follows it is a whole one.
    """
    if not first or not second or not first.lstrip().startswith(b"{"):
        return False
    opened = sum(1 if match[1] in b"[{" else -1 for match in brackets(first))
    return opened > 0 and not isinstance(parsed(second), dict) and isinstance(parsed(first), RejectedRow)


def several_lines(source: DataFile) -> str:
    """Return the sentence for a file whose first object spans several lines: one row, or all of them."""
    with open_text(source) as file:
        start = file.read(PIECE)
    depth, end, inside = 0, len(start), []
    for match in brackets(start):
        if match[1] == b"[" and depth == 1:
            key = KEY_OF_LIST.search(start[max(0, match.end() - 300) : match.end()])
            if key and start[match.end() :][:SPACE].lstrip().startswith(b"{"):
                inside.append(key[1].decode("utf-8", "replace"))
        depth += 1 if match[1] in b"[{" else -1
        if depth == 0:
            end = match.end()
            break
    name = printable(source.name)
    if start[end:].strip() or not inside or (len(inside) == 1 and inside[0] in TURNS):
        return (
            f"{name} holds an object that spans several lines, expected one row a line. Write it so, for "
            f"example with `jq -c . {name}`, or as a JSON array."
        )
    which = ", ".join(repr(shown(key)) for key in inside[:4])
    return (
        f"{name} is one JSON object with lists of objects under {which}, expected JSON lines or a JSON array "
        "of rows. Write each list in its own file, for example with "
        f"`jq -c '.{shown(inside[0])}[]' {name}`."
    )


def read_json_array(source: DataFile) -> Iterator[Row]:
    """Yield the items of one JSON array, each parsed by itself, so that one spoils no other.

    Raises:
        UserError: the array is broken; what follows the break cannot be read.
    """
    number = 0
    with open_text(source) as file:
        try:
            for number, text in enumerate(Items(file), 1):
                if text is None:
                    why = f"the item is longer than {LONGEST_ROW >> 20} MiB"
                    yield number, None, RejectedRow("too-long", why)
                else:
                    yield number, text, parsed(text)
        except Broken as error:
            raise UserError(
                f"{printable(source.name)} is a JSON array that breaks after item {number}: {error}. Write "
                "it again, or as JSON lines, in which a rejected row does not affect the others."
            ) from error


class Broken(Exception):
    """An array that does not go on as one."""


class Items:
    """The texts of an array's items, None for one that is too long.

    Only one item and one piece of the file are held at a time.
    """

    def __init__(self, file: BufferedReader, piece: int = PIECE, longest: int = LONGEST_ROW) -> None:
        self.file, self.piece, self.longest = file, piece, longest
        self.depth, self.in_string, self.count = 1, False, 0
        self.held, self.too_long = bytearray(), False

    def __iter__(self) -> Iterator[bytes | None]:
        piece = self.file.read(self.piece).lstrip()[1:] or self.file.read(self.piece)
        while piece:
            start = place = 0
            while (place := self.next_mark(piece, place)) < len(piece) and not self.in_string:
                mark = piece[place : place + 1]
                if self.depth == 1 and mark in b",]}":
                    yield from self.item(piece[start:place], mark)
                    if mark != b",":
                        return self.check_end(piece[place + 1 :])
                    start = place + 1
                place += self.turn(piece, place)
            self.hold(piece[start:place])
            more = self.file.read(self.piece)
            piece = more and piece[place:] + more
        raise Broken("the file ends inside it")

    def next_mark(self, piece: bytes, place: int) -> int:
        """Return where the next bracket (or comma between items) outside of strings is, or the end.

        Inside a string it is the end, or a backslash whose character comes with the next piece.
        """
        while place < len(piece):
            if self.in_string:
                place = IN_STRING.match(piece, place).end()  # type: ignore[union-attr]
                if piece[place : place + 1] != b'"':
                    return place
                self.in_string, place = False, place + 1
            outside = SHALLOW if self.depth == 1 else DEEP
            place = outside.match(piece, place).end()  # type: ignore[union-attr]
            if piece[place : place + 1] != b'"':
                return place
            self.in_string, place = True, place + 1
        return place

    def turn(self, piece: bytes, place: int) -> int:
        """Follow a run of brackets, or pass over a comma, and return how long it is."""
        mark = piece[place]
        if mark not in BRACKETS:
            return 1
        length = len(RUN.match(piece, place)[0])  # type: ignore[index]
        if mark in OPEN:
            self.depth += length
            return length
        length = min(length, self.depth - 1)  # the array's own end is looked at by itself
        self.depth -= length
        return length

    def hold(self, text: bytes) -> None:
        """Keep a part of an item until the rest of it is there; what gets too long is let go."""
        self.held += text
        if self.too_long or len(self.held) > self.longest:
            self.too_long = True
            self.held.clear()

    def item(self, text: bytes, mark: bytes) -> Iterator[bytes | None]:
        """Yield the item that ends with this text, unless the array is empty."""
        self.hold(text)
        whole, too_long = bytes(self.held).strip(), self.too_long
        self.held, self.too_long = bytearray(), False
        if mark == b"}":
            raise Broken("a } closes it")
        if not whole and not too_long:
            if self.count or mark == b",":
                raise Broken("a comma has nothing beside it")
            return
        self.count += 1
        yield None if too_long else whole

    def check_end(self, rest: bytes) -> None:
        """Check that nothing but space follows the array. Raises Broken."""
        while rest:
            if rest.strip():
                raise Broken("more follows after its end")
            rest = self.file.read(self.piece)
