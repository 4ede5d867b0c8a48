"""Row formats: how rows of each are recognized, checked and converted to what training reads.

A new format is one function and one line in `FORMATS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from osft_download.calls import FUNCTION_CALL, functions_of, tools_of
from osft_download.chat import Notes, checked, with_system
from osft_download.exact import parse_text
from osft_download.rules import RejectedRow, check_text, check_tokens, keys, kind, shown

Columns = Mapping[str, str]
Object = dict[str, Any]
Changes = dict[str, tuple[str, Any] | None]
"""Column -> its new name and value, or None to leave it out."""

TOKENS = ("input_ids", "labels")
"""Columns that training would take before a chat: a row that became one loses them."""


class Undecided(Exception):
    """`auto` cannot decide which kind the rows are, and would have to guess."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A row as training reads it."""

    row: Object
    """The row itself where nothing had to change: then its bytes can stay as they are."""
    read: frozenset[str]
    """The columns, by the names they have in the data, that went into it."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a row."""

    columns: tuple[str, ...]
    """All must be there for `auto` to choose it."""
    result: str
    """What training reads: `messages`, `processed` (token ids) or `document`."""
    convert: Callable[[Object, Columns, Notes], Converted]
    """Check a row and convert it."""


def as_chat(
    row: Object, columns: Columns, notes: Notes, sources: Mapping[str, Any], *, turns: bool = False
) -> Converted:
    """Return a row as a chat of the messages in the first of `sources`, with what stands beside them.

    Args:
        sources: the columns that the messages came from, and the messages; the other columns map to None.
        turns: the messages are written as ShareGPT does.
    """
    first, given = next(iter(sources.items()))
    read = {*sources, columns["tools"], "functions", "unmask"}
    if not isinstance(row.get("unmask"), bool | None):
        raise RejectedRow("not-a-mask", f"unmask is {kind(row['unmask'])}, expected true or false")
    system = columns["system"]
    messages, system_read = with_system(given, row.get(system))
    if system_read:
        read.add(system)
    inserted = messages is not given
    messages = checked(messages, notes, turns=turns)
    changes: Changes = dict.fromkeys(name for name in (*TOKENS, *sources) if name in row)
    changes |= tools_changes(row, columns["tools"], notes)
    if messages is row[first] and first == "messages" and len(sources) == 1:
        del changes[first]
    else:
        changes[first] = ("messages", messages)
    if inserted:
        changes[system] = None
    return Converted(replaced(row, changes) if changes else row, frozenset(read))


def tools_changes(row: Object, column: str, notes: Notes) -> Changes:
    """Return what must change for `tools` to be a list of objects, or not there at all.

    Raises:
        RejectedRow: they are something else.
    """
    changes: Changes = {}
    tools = tools_of(row.get(column))
    if column in row and (tools is None or tools is not row[column] or column != "tools"):
        changes[column] = ("tools", tools) if tools else None
    if "functions" in row and column != "functions":
        legacy = functions_of(row["functions"])
        changes["functions"] = ("tools", legacy) if legacy and not tools else None
        notes |= {FUNCTION_CALL} if legacy else set()
    return changes


def from_messages(row: Object, columns: Columns, notes: Notes) -> Converted:
    """Chat rows in the form that training reads."""
    column = columns["messages"]
    return as_chat(row, columns, notes, {column: decoded(row[column])})


def from_conversations(row: Object, columns: Columns, notes: Notes) -> Converted:
    """ShareGPT's from/value; role/content is taken too."""
    column = columns["conversations"]
    return as_chat(row, columns, notes, {column: decoded(row[column])}, turns=True)


def from_prompt(row: Object, columns: Columns, notes: Notes) -> Converted:
    """Return a prompt and its completion, texts or lists of messages, as one chat."""
    question, answer, extra = columns["prompt"], columns["completion"], columns["input"]
    prompt, completion = row[question], row[answer]
    if isinstance(prompt, list) and isinstance(completion, list):
        return as_chat(row, columns, notes, {question: [*prompt, *completion], answer: None})
    check_text("the prompt", prompt)
    check_text("the completion", completion)
    beside = question == columns["instruction"] or extra != "input"
    used = {extra: None} if beside and extra in row else {}
    prompt = joined(prompt, row[extra]) if used else prompt
    return as_chat(row, columns, notes, {question: asked(prompt, completion), answer: None, **used})


def from_instruction(row: Object, columns: Columns, notes: Notes) -> Converted:
    """Alpaca's instruction, input (may be empty or missing) and output."""
    question, extra, answer = columns["instruction"], columns["input"], columns["output"]
    prompt = joined(row[question], row.get(extra))
    check_text("the instruction", prompt)
    check_text("the output", row[answer])
    used = {extra: None} if extra in row else {}
    return as_chat(row, columns, notes, {question: asked(prompt, row[answer]), answer: None, **used})


def from_processed(row: Object, columns: Columns, notes: Notes) -> Converted:
    """Token ids and labels, made by the user."""
    names = {columns[name]: name for name in TOKENS}
    values = {column: decoded(row[column]) for column in names}
    check_tokens(*values.values())
    changes: Changes = {
        column: (name, values[column])
        for column, name in names.items()
        if column != name or values[column] is not row[column]
    }
    return Converted(replaced(row, changes) if changes else row, frozenset(names))


def from_document(row: Object, columns: Columns, notes: Notes) -> Converted:
    """Plain text for continued pretraining (`train.pretraining`); the column keeps its name."""
    column = columns["document"]
    check_text("the document", row[column])
    return Converted(row, frozenset({column}))


FORMATS = {
    "messages": Format(("messages",), "messages", from_messages),
    "conversations": Format(("conversations",), "messages", from_conversations),
    "prompt-completion": Format(("prompt", "completion"), "messages", from_prompt),
    "instruction": Format(("instruction", "output"), "messages", from_instruction),
    "processed": Format(TOKENS, "processed", from_processed),
    "document": Format(("document",), "document", from_document),
}
BESIDE = ("system", "tools", "input")
"""Columns that are read where they are there."""
COLUMNS = (*(column for form in FORMATS.values() for column in form.columns), *BESIDE)


def asked(prompt: str, completion: str) -> list[Object]:
    """Return a question and its answer as messages."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


def joined(prompt: Any, extra: Any) -> Any:
    """Return an instruction and its input: a blank line between them, and nothing for an empty one.

    Raises:
        RejectedRow: the input is not text.
    """
    if extra is None or (isinstance(extra, str) and not extra.strip()):
        return prompt
    check_text("the input", extra)
    return f"{prompt}\n\n{extra}" if isinstance(prompt, str) and prompt.strip() else extra


def decoded(value: Any) -> Any:
    """Return a list that was written as JSON text, as CSV must; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return parse_text(value)
        except RejectedRow:
            return value
    return value


def replaced(row: Object, changes: Mapping[str, tuple[str, Any] | None]) -> Object:
    """Return a row with columns renamed and filled in their place, or left out; all others as they were."""
    result: Object = {}
    new_names = {change[0] for change in changes.values() if change}
    for key, value in row.items():
        change = changes.get(key, (key, value)) if key in changes or key not in new_names else None
        if change:
            result[change[0]] = change[1]
    return result


def all_columns(given: Mapping[str, str]) -> Columns:
    """Return our names of columns -> the data's names, with the defaults filled in."""
    return {name: given.get(name, name) for name in COLUMNS}


def format_of(row: Any, wanted: str, columns: Columns) -> str:
    """Return the name of the row's format.

    Raises:
        RejectedRow: it is not an object, or does not have the columns of the wanted format, or of any.
        Undecided: it could be token ids or something else.
    """
    if not isinstance(row, dict):
        raise RejectedRow("not-an-object", f"the row is {kind(row)}, expected a JSON object")
    asked_for = FORMATS if wanted == "auto" else (wanted,)
    found = [name for name in asked_for if all(columns[column] in row for column in FORMATS[name].columns)]
    if len(found) > 1 and "processed" in found and None not in (row[columns[name]] for name in TOKENS):
        raise Undecided(f"the row is {' and '.join(found)} at once (keys: {keys(row)})")
    if found:
        return found[0]
    *others, last = (" and ".join(columns[column] for column in FORMATS[name].columns) for name in asked_for)
    expected = f"{', '.join(others)} or {last}" if others else last
    if inside := [key for key, value in row.items() if is_rows(value)]:
        raise RejectedRow(
            "rows-inside",
            f"this is one JSON object with lists of objects under {', '.join(map(shown, inside[:4]))}, "
            f"expected one row with {expected}",
        )
    raise RejectedRow("unknown-format", f"the row has the keys {keys(row)}, expected {expected}")


def is_rows(value: Any) -> bool:
    """Return whether a value could be a list of rows."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value[:10])
