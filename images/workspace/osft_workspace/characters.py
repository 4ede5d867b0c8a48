"""Which characters are shown, and how the others are escaped: the one rule for text that comes from outside.

Standard library only.
"""

import json
import re
import unicodedata
from typing import Any

CUT = "..."
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
JOINERS = "\u200c\u200d"  # words of Persian and Indic scripts and many emoji need them
BREAKS = re.compile(r"[ \t]*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029][\s\x1c-\x1e]*")
NOT_PLAIN = re.compile(r"[^\n -~]")  # what may need an escape in JSON, whose line ends stand between texts


def is_shown(char: str) -> bool:
    """Return whether a character is shown as it is: it prints something or is a plain kind of space."""
    return char.isprintable() or char in JOINERS or unicodedata.category(char) == "Zs"


def escaped(char: str) -> str:
    """Return a character as shown, or its escape as Python writes it; a stray byte of a name as \\xNN."""
    if is_shown(char):
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode keeps a byte that is not UTF-8 this way
        return f"\\x{code - 0xDC00:02x}"
    return SHORT.get(char) or char.encode("unicode_escape").decode("ascii")


def printable(text: object, limit: int | None = None) -> str:
    """Return the text on one line, control and format characters escaped, cut to `limit` characters.

    What is not shown is escaped, so that a reader sees it was there. Printable text is unchanged.
    """
    plain = str(text)
    if plain.isprintable() and (limit is None or len(plain) <= limit):
        return plain
    shown: list[str] = []
    room = len(plain) * 10 if limit is None else max(limit, len(CUT))
    for char in plain:
        shown.append(escaped(char))
        room -= len(shown[-1])
        if room < 0:
            return cut(shown, max(limit or 0, len(CUT)))
    return "".join(shown)


def cut(pieces: list[str], limit: int) -> str:
    """Join as many whole pieces as fit in `limit` characters together with the mark of a cut."""
    length = sum(map(len, pieces))
    while length > limit - len(CUT):
        length -= len(pieces.pop())
    return "".join(pieces) + CUT


def one_line(text: object, limit: int | None = None) -> str:
    """Return a message as one printable line: libraries break theirs into lines, which become spaces."""
    return printable(BREAKS.sub(" ", str(text).strip()), limit)


def json_text(value: Any, indent: int | None = None, **options: Any) -> str:
    """Return JSON that a terminal shows as it is: what is not printable in a text is written as \\uNNNN.

    `options` are those of json.dumps. It reads as the same value.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, **options)
    return text if text.isprintable() else NOT_PLAIN.sub(escaped_in_json, text)


def escaped_in_json(found: re.Match[str]) -> str:
    """Return a character as JSON escapes it, unless it is shown."""
    return found[0] if is_shown(found[0]) else json.dumps(found[0])[1:-1]
