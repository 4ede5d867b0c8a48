"""The one place that makes text from outside fit to be shown.

File names, row keys, values, server answers and errors of libraries may hold line breaks, terminal escape
sequences or characters that reverse the reading order. Whatever reaches a terminal, a log line, a termination
message, a record, a report, a card or a registry field passes here first: `printable` and `excerpt` for a
name or a value, `sentence` for a message, `json_text` for JSON, `osft_workspace.markdown` for Markdown.
"""

import json
from typing import Any

from osft_workspace.characters import is_shown, json_text, one_line, printable
from osft_workspace.redact import redact_text, redact_value

__all__ = ["excerpt", "field", "fields", "is_shown", "json_text", "printable", "sentence"]

LONGEST_EXCERPT = 200  # characters
LONGEST_SENTENCE = 4000
BEYOND = 16_384  # characters read past the end of an excerpt, so that no secret is cut before it is known


def sentence(text: object, limit: int = LONGEST_SENTENCE) -> str:
    """Return a message as one printable line of at most `limit` characters."""
    return one_line(text, limit)


def field(text: object, limit: int = LONGEST_SENTENCE) -> str:
    """Return a text as a field of a registry or a screen holds it: one printable line without secrets."""
    return one_line(redact_text(str(text)), limit)


def fields(value: Any) -> Any:
    """Return a JSON value whose texts and keys are each as `field` shows them."""
    if isinstance(value, dict):
        return {field(key): fields(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fields(item) for item in value]
    return field(value) if isinstance(value, str) else value


def head(value: Any, room: list[int]) -> Any:
    """Return the beginning of a value, as much as `room` characters show; no secret in it is cut."""
    room[0] -= 1
    if isinstance(value, str):
        text = value[: max(room[0], 0) + BEYOND]
        room[0] -= len(text)
        return text
    if isinstance(value, dict):
        return {head(key, room): head(item, room) for key, item in value.items() if room[0] >= 0}
    if isinstance(value, list | tuple):
        return [head(item, room) for item in value if room[0] >= 0]
    return value


def excerpt(value: Any, limit: int = LONGEST_EXCERPT) -> str:
    """Return a value from outside as one printable line without secrets, at most `limit` characters.

    Text stays text, bytes are read as UTF-8, anything else is shown as JSON. No value raises.
    """
    if isinstance(value, bytes | bytearray):
        value = bytes(value[: 4 * (limit + BEYOND)]).decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        return printable(redact_text(value[: limit + BEYOND]), limit)
    try:
        pieces, length = [], 0
        for piece in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(
            redact_value(head(value, [limit]))
        ):
            pieces.append(piece)
            length += len(piece)
            if length > limit:
                break
        return printable("".join(pieces), limit)
    except (TypeError, ValueError):  # a key that is not text, or a value that holds itself
        return printable(redact_text(repr(value)[: limit + BEYOND]), limit)


def counted(number: int, one: str, many: str = "") -> str:
    """Return `1 row` or `2,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
