"""How many values a JSON text holds, before any of them takes memory."""

import re

STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def holds_more(text: bytes, most: int) -> bool:
    """Return whether a JSON text holds more values than `most`; strings are looked at only where it may."""
    found = marks(text)
    return found > most and found - sum(marks(string[0]) for string in STRING.finditer(text)) > most


def marks(text: bytes) -> int:
    """Return how many characters of a text stand before a value, where they are not part of a string."""
    return sum(map(text.count, (b",", b"[", b"{")))
