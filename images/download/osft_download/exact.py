"""JSON text to values, exactly: what cannot be held as it was written is rejected by name.

orjson is fast and strict, but rounds integers beyond 64 bits; text that may hold one is parsed a second time.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from osft_download.marks import holds_more
from osft_download.rules import RejectedRow

DEEPEST = 100  # lists and objects within each other; chats with tools need some 20
MOST_VALUES = 1 << 20  # of a row; two bytes of text become an object of 64 bytes
NOT_A_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
LONG_NUMBER = re.compile(rb"\d{19}")
BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)


def parse(text: bytes) -> Any:
    """Parse one JSON value.

    Raises:
        RejectedRow: it is not JSON, not UTF-8, nested too deep, holds too many values, or a number beyond
            what a float can hold.
    """
    if holds_more(text, MOST_VALUES):
        raise too_many()
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("depth limit"):
            raise too_deep() from error
        raise not_json(text, error) from error
    if text.count(b"[") + text.count(b"{") > DEEPEST and depth(text) > DEEPEST:
        raise too_deep()
    if LONG_NUMBER.search(text):
        return json.loads(text)  # orjson has seen to it that no number is beyond what a float can hold
    return value


def parse_text(text: str) -> Any:
    """As `parse`, for a text that came inside a row; half a character in it makes it invalid."""
    return parse(text.encode("utf-8", "surrogatepass"))


def brackets(text: bytes) -> Iterator[re.Match[bytes]]:
    """Find the brackets outside of strings; finditer would look on inside a string that it cannot pass."""
    at = 0
    while match := BRACKET.match(text, at):
        at = match.end()
        yield match


def depth(text: bytes) -> int:
    """Return how deep lists and objects nest in a JSON text."""
    deepest = now = 0
    for match in brackets(text):
        now += 1 if match[1] in b"[{" else -1
        deepest = max(deepest, now)
    return deepest


def too_deep() -> RejectedRow:
    """Return the rejection of a row that nests too deep."""
    return RejectedRow("too-deep", f"lists and objects are nested more than {DEEPEST} deep")


def too_many() -> RejectedRow:
    """Return the rejection of a row whose values would fill memory."""
    return RejectedRow(
        "too-long", f"it holds more than {MOST_VALUES:,} values (numbers, texts, lists, objects)"
    )


def not_json(text: bytes, error: orjson.JSONDecodeError) -> RejectedRow:
    """Return why a text is not JSON; orjson reports wrong bytes like wrong characters."""
    try:
        text.decode()
    except UnicodeDecodeError as wrong:
        return RejectedRow("not-utf8", f"not UTF-8 at byte {wrong.start + 1}: convert the file to UTF-8")
    what = error.msg.split(": line", 1)[0]
    if number := NOT_A_NUMBER.match(text, error.pos):
        what = f"{number[0].decode()} has no place in JSON"
    if what == "unexpected end of data":
        what += " (a row is one line)"
    return RejectedRow("not-json", f"not JSON at column {error.pos + 1}: {what}")
