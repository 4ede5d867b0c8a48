"""Rows to the JSON lines that the next steps read, and what of them is left unread."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from osft_download.formats import Converted
from osft_download.rules import RejectedRow, shown

Object = dict[str, Any]
KNOWN = frozenset(
    {
        *("role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "thinking"),
        *("weight", "train", "training"),
    }
)
"""Keys of a message that a template or a mask may read; others go where JSON cannot hold them."""
MOST_NAMES = 200
OTHERS = "(other columns)"
NAMED = 20  # columns that the event names


def line_of(converted: Converted) -> bytes:
    """Return a row as JSON, UTF-8, keys in their order.

    What is not read and JSON cannot hold (decimals, bytes, durations, maps with other keys than text)
    is left out.

    Raises:
        RejectedRow: it is in a column that is read.
    """
    try:
        return orjson.dumps(converted.row)
    except TypeError:
        pass
    row = {
        key: value
        for key, value in converted.row.items()
        if key in converted.read or key == "messages" or writable(value)
    }
    messages = row.get("messages")
    if isinstance(messages, list):
        row["messages"] = [without_strangers(message) for message in messages]
    try:
        return orjson.dumps(row)
    except TypeError as error:
        raise RejectedRow("not-json", f"{culprit(row)} cannot be written as JSON: {error}") from error


def writable(value: Any) -> bool:
    """Return whether JSON can hold a value."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def without_strangers(message: Object) -> Object:
    """Return a message without what is not read and JSON cannot hold."""
    return {key: value for key, value in message.items() if key in KNOWN or writable(value)}


def culprit(row: Object) -> str:
    """Return the column that JSON has no place for, for a sentence."""
    names = [f"column {shown(repr(key))}" for key, value in row.items() if not writable(value)]
    return names[0] if names else "the row"


def count_unread(unread: Counter[str], row: Mapping[str, Any], read: frozenset[str]) -> None:
    """Count the columns of a row that hold something and were not read."""
    for key, value in row.items():
        if key not in read and value is not None:
            name = key if key in unread or len(unread) < MOST_NAMES else OTHERS
            unread[name] += 1


def shares(unread: Counter[str], rows: int) -> str:
    """Return the columns that were not read with their share of the rows, the most frequent first."""
    named = [
        f"{shown(key) or '(no name)'} ({share(count, rows)})" for key, count in unread.most_common(NAMED)
    ]
    more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
    return ", ".join(named) + more


def share(count: int, rows: int) -> str:
    """Return a part of the rows in percent; a small part is not rounded to none, nor a large one to all."""
    if count == rows:
        return "100 %"
    percent = 100 * count / rows
    return f"{percent:.0f} %" if 1 <= percent < 99.5 else ("< 1 %" if percent < 1 else "> 99 %")
