"""Answers from outside: how much of one is read, how it is unpacked, and which JSON is taken.

Whatever a server sends passes here before anything else looks at it.
"""

import json
import math
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from osft_workspace.deadline import TooSlow, allowed
from osft_workspace.text import excerpt

PIECE = 1 << 16  # bytes that are unpacked at once: a packed body may grow a thousandfold
LARGEST_ERROR = 64 << 10  # bytes of an answer that refuses; the rest is not read
LONGEST_PAUSE = 60.0  # seconds that a server may ask to wait
DEEPEST = 64  # levels of JSON; the deepest answer of hub or registry has about ten
BEGINNING = 60  # characters of an answer in a sentence
ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])|([,:])', re.DOTALL)
ETAG = re.compile(r'(W/)?"?[\w.:+/-]{1,100}={0,2}"?')
EITHER = 32 + zlib.MAX_WBITS  # zlib finds out whether the header is gzip's or its own


class Misfit(Exception):
    """An answer that cannot be used; the text goes on from `answered 200 `."""


class Body:
    """The unpacked bytes of an answer, at most so many, in at most so much time.

    Raises:
        Misfit: it is longer, or not packed as it says.
        TooSlow: it drips.
    """

    def __init__(self, pieces: Iterable[bytes], encoding: str, most: int, seconds: float) -> None:
        self.pieces, self.most, self.seconds = pieces, most, seconds
        self.encoding = encoding.strip().lower()
        self.count = 0
        self.started = time.monotonic()

    def __iter__(self) -> Iterator[bytes]:
        if self.encoding not in ENCODINGS:
            raise Misfit(
                f"with a body that is packed as {excerpt(self.encoding, 40)!r}, expected gzip or none"
            )
        packed = self.encoding not in ("", "identity")
        for piece in unpacked(self.pieces) if packed else self.pieces:
            self.count += len(piece)
            if self.count > self.most:
                raise Misfit(f"with more than {size(self.most)}")
            spent = time.monotonic() - self.started
            if spent > allowed(self.seconds, self.count):
                raise TooSlow(spent)
            yield piece

    def beginning(self) -> bytes:
        """Return what there is up to the limit; a longer body is cut, a broken one ends where it breaks."""
        found = bytearray()
        try:
            for piece in self:
                found += piece
        except Misfit:
            pass
        return bytes(found)


def unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes inside gzip or zlib data, `PIECE` at most at once."""
    inside, ended = zlib.decompressobj(EITHER), True
    try:
        for piece in pieces:
            while piece:
                plain = inside.decompress(piece, PIECE)
                piece, ended = inside.unconsumed_tail, inside.eof
                if plain:
                    yield plain
                if inside.eof and (piece := inside.unused_data):
                    inside = zlib.decompressobj(EITHER)  # gzip files may be joined
    except zlib.error as error:
        raise Misfit(f"with a body that cannot be unpacked ({error})") from error
    if not ended:
        raise Misfit("with packed data that ends early")


def size(count: int) -> str:
    """Return a number of bytes as a person reads it."""
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"


def begins(content: bytes) -> str:
    """Return the beginning of a body for a sentence."""
    return f"it begins with '{excerpt(content[: 4 * BEGINNING], BEGINNING)}'" if content else "it is empty"


def parse_json(content: bytes, values: int) -> Any:
    """Return the JSON value of an answer.

    Args:
        values: most values, keys and containers in it: each costs about a hundred bytes of memory.

    Raises:
        Misfit: it is not JSON, too deep, too large, or holds NaN, an infinity or half a surrogate pair.
    """
    check_size(content, values)
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_constant=refuse_number, parse_float=finite)
        if b"\\u" in content:
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Misfit(f"with text that is not UTF-8 ({begins(content)})") from error
    except UnicodeEncodeError as error:
        raise Misfit("with JSON that holds half of a surrogate pair, which no UTF-8 text can hold") from error
    except (ValueError, RecursionError) as error:
        raise Misfit(f"with text that is not JSON ({excerpt(str(error), 80)}; {begins(content)})") from error
    return found


def check_size(content: bytes, values: int) -> None:
    """Look at depth and number of values before anything is built from them. Raises Misfit."""
    depth = count = 0
    for token in TOKEN.finditer(content):
        opened, closed, other = token.groups()
        depth += 1 if opened else -1 if closed else 0
        count += bool(opened or other)
        if depth > DEEPEST:
            raise Misfit(f"with JSON nested more than {DEEPEST} levels deep")
        if count > values:
            raise Misfit(f"with more than {values:,} JSON values")


def refuse_number(name: str) -> float:
    """Raise ValueError for NaN and the infinities, which JSON does not have."""
    raise ValueError(f"{name} is not a JSON number")


def finite(text: str) -> float:
    """Return a number; raises ValueError for one that no double holds."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large for a number")
    return number


def etag_of(value: object) -> str:
    """Return the ETag of an answer, or nothing where a server puts something else than a short mark there."""
    return value if isinstance(value, str) and ETAG.fullmatch(value) else ""


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Return the seconds that a server asks to wait, 0 where it does not say; never more than a minute.

    Both forms are read, a number of seconds and a date; what is neither is ignored.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_PAUSE)
    try:
        then = parsedate_to_datetime(text)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        wait = (then - (now or datetime.now(UTC))).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), LONGEST_PAUSE)
