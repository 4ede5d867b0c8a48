"""Row formats: how rows of each are known, checked and brought to what training reads.

A new format is one function and one line in `FORMATS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from osft_download.rules import BadRow, check_messages, check_text, check_tokens, keys

Columns = Mapping[str, str]
Object = dict[str, Any]
SPEAKERS = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
}


TOKENS: dict[str, None] = {"input_ids": None, "labels": None}
"""Columns that training would take before a chat: a row that became one loses them."""


class Undecided(Exception):
    """`auto` cannot tell what the rows are meant for, and whichever it chose, it would train on a guess."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a row."""

    columns: tuple[str, ...]
    """All must be there for `auto` to choose it."""
    result: str
    """What training reads: `messages`, `processed` (token ids) or `document`."""
    convert: Callable[[Object, Columns], Object]
    """Check a row and return it: the same object when its bytes can stay as they are."""


def from_messages(row: Object, columns: Columns) -> Object:
    """Chat rows in the form that training reads."""
    column = columns["messages"]
    messages = decoded(row[column])
    check_messages(messages)
    if messages is row[column] and column == "messages" and not TOKENS.keys() & row.keys():
        return row
    return replaced(row, {**TOKENS, column: ("messages", messages)})


def from_conversations(row: Object, columns: Columns) -> Object:
    """ShareGPT's from/value; role/content is taken too."""
    column = columns["conversations"]
    turns = decoded(row[column])
    messages = [as_message(turn) for turn in turns] if isinstance(turns, list) else turns
    check_messages(messages)
    return replaced(row, {**TOKENS, column: ("messages", messages)})


def as_message(turn: Any) -> Any:
    """One from/value turn as a message, other keys kept; what is no turn is left for the rules to name."""
    if not isinstance(turn, dict) or "from" not in turn:
        return turn
    named = {"from": "role", "value": "content"}
    message = {named.get(key, key): value for key, value in turn.items()}
    if isinstance(message["role"], str):
        message["role"] = SPEAKERS.get(message["role"].lower(), message["role"].lower())
    return message


def from_prompt(row: Object, columns: Columns) -> Object:
    """A prompt and its completion, texts or lists of messages, as one chat."""
    prompt, completion = row[columns["prompt"]], row[columns["completion"]]
    if isinstance(prompt, list) and isinstance(completion, list):
        messages = [*prompt, *completion]
    else:
        check_text("the prompt", prompt)
        check_text("the completion", completion)
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    check_messages(messages)
    return replaced(row, {**TOKENS, columns["prompt"]: ("messages", messages), columns["completion"]: None})


def from_processed(row: Object, columns: Columns) -> Object:
    """Token ids and labels, made by the user."""
    ids, labels = decoded(row[columns["input_ids"]]), decoded(row[columns["labels"]])
    check_tokens(ids, labels)
    if ids is row.get("input_ids") and labels is row.get("labels"):
        return row
    return replaced(row, {columns["input_ids"]: ("input_ids", ids), columns["labels"]: ("labels", labels)})


def from_document(row: Object, columns: Columns) -> Object:
    """Plain text for continued pretraining (`train.pretraining`); the column keeps its name."""
    check_text("the document", row[columns["document"]])
    return row


FORMATS = {
    "messages": Format(("messages",), "messages", from_messages),
    "conversations": Format(("conversations",), "messages", from_conversations),
    "prompt-completion": Format(("prompt", "completion"), "messages", from_prompt),
    "processed": Format(("input_ids", "labels"), "processed", from_processed),
    "document": Format(("document",), "document", from_document),
}
COLUMNS = tuple(column for form in FORMATS.values() for column in form.columns)


def decoded(value: Any) -> Any:
    """A list that was written as JSON text, as CSV must; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def replaced(row: Object, changes: Mapping[str, tuple[str, Any] | None]) -> Object:
    """A row with columns renamed and filled in their place, or taken out; all others as they were."""
    result: Object = {}
    new_names = {change[0] for change in changes.values() if change}
    for key, value in row.items():
        change = changes.get(key, (key, value)) if key in changes or key not in new_names else None
        if change:
            result[change[0]] = change[1]
    return result


def all_columns(given: Mapping[str, str]) -> Columns:
    """Our names of columns -> the data's names, with the defaults filled in."""
    return {name: given.get(name, name) for name in COLUMNS}


def format_of(row: Any, wanted: str, columns: Columns) -> str:
    """The name of the row's format.

    Raises:
        BadRow: it is no object, or has not the columns of the wanted format, or of any.
        Undecided: it could be token ids and something else.
    """
    if not isinstance(row, dict):
        raise BadRow("not-an-object", "the row is no JSON object")
    asked = FORMATS if wanted == "auto" else (wanted,)
    found = [name for name in asked if all(columns[column] in row for column in FORMATS[name].columns)]
    if len(found) > 1 and "processed" in found and None not in (row[columns[name]] for name in TOKENS):
        raise Undecided(f"the row is {' and '.join(found)} at once (keys: {keys(row)})")
    if found:
        return found[0]
    *others, last = (" and ".join(columns[column] for column in FORMATS[name].columns) for name in asked)
    expected = f"{', '.join(others)} or {last}" if others else last
    raise BadRow("unknown-format", f"the row has the keys {keys(row)}, expected {expected}")
