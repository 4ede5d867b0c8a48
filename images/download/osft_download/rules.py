"""The rules that every row must keep, each with a name that `rejected.jsonl` repeats."""

from typing import Any

from osft_workspace import printable

RULES = {
    "not-json": "the line is one JSON value",
    "not-utf8": "text is UTF-8",
    "too-long": "a row is at most 8 MiB, 1,048,576 values (numbers, texts, lists) and 262,144 tokens",
    "too-deep": "lists and objects in a row nest at most 100 deep",
    "wrong-cells": "a CSV row has as many cells as the header",
    "not-an-object": "a row is a JSON object",
    "unknown-format": "a row has the columns of a known format",
    "rows-inside": "a row is not an object that holds the rows under a key",
    "not-a-list": "messages are a list",
    "no-messages": "the list is not empty",
    "not-a-message": "each message is an object with a role and content",
    "unknown-role": "the role is one that chat templates know",
    "no-content": "each message has content that is text, or text parts; with tool calls it may be missing",
    "not-text": "parts of a content are text, and so is reasoning",
    "empty-content": "user and assistant say something",
    "no-assistant": "at least one message is the assistant's (or `pretraining`), or nothing can be learned",
    "not-a-call": "each tool call has a function with a name, and arguments that are an object",
    "not-tools": "tools are a list of objects, or its JSON text",
    "not-a-mask": "weight is 0 or 1; train, training and unmask are true or false",
    "not-token-ids": "input_ids and labels are lists of whole numbers; a label is a token id or -100",
    "lengths-differ": "there are as many labels as input_ids",
    "shifted-labels": "each label is at the position of its own token: training shifts the labels",
    "nothing-to-learn": "at least one label is not -100",
    "no-text": "a document, a prompt or a completion is text and not empty",
    "template": "the base model's chat template renders the chat",
    "unclear-turns": "the text of a turn can be distinguished from what the chat template writes around it",
    "not-written": "the base model's chat template writes the words of each answer as they are",
    "no-offsets": "the base model's tokenizer says where its tokens stand in the text",
    "unknown-token": "every token id has a row in the base model's embeddings",
}
MASKED = -100
LONGEST_SHOWN = 40  # characters of a text from outside in a sentence


class RejectedRow(Exception):
    """A row that breaks a rule."""

    def __init__(self, rule: str, reason: str) -> None:
        assert rule in RULES, rule
        super().__init__(reason)
        self.rule, self.reason = rule, reason


def check_tokens(input_ids: Any, labels: Any) -> None:
    """Check a row that is token ids already.

    Raises:
        RejectedRow: something in it is not a token id, or there is nothing to learn.
    """
    for name, ids, least in (("input_ids", input_ids, 0), ("labels", labels, MASKED)):
        if not isinstance(ids, list) or not ids:
            raise RejectedRow("not-token-ids", f"{name} are {kind(ids)}, expected a list of token ids")
        if not all(type(token) is int and (token >= 0 or token == least) for token in ids):
            raise RejectedRow("not-token-ids", f"{name} hold something that is not a token id")
    if len(input_ids) != len(labels):
        raise RejectedRow("lengths-differ", f"{len(input_ids)} input_ids and {len(labels)} labels")
    if all(label == MASKED for label in labels):
        raise RejectedRow("nothing-to-learn", f"every label is {MASKED}: nothing to learn")
    if shifted(input_ids, labels):
        raise RejectedRow(
            "shifted-labels",
            "each label is the id of the next token, expected that of its own: training shifts labels itself",
        )


def shifted(input_ids: list[int], labels: list[int]) -> bool:
    """Return whether labels are those of the next tokens, as data sets for other training loops hold them."""
    own = all(label in (MASKED, token) for token, label in zip(input_ids, labels, strict=True))
    after = zip(input_ids[1:], labels, strict=False)
    return not own and labels[-1] == MASKED and all(label in (MASKED, token) for token, label in after)


def check_text(name: str, text: Any) -> None:
    """Check that a text is there. Raises RejectedRow."""
    if not isinstance(text, str):
        raise RejectedRow("no-text", f"{name} is {kind(text)}, expected text")
    if not text.strip():
        raise RejectedRow("no-text", f"{name} is empty")


def kind(value: Any) -> str:
    """Return the JSON name of a value's type, for sentences."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    names = {dict: "an object", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def shown(text: object) -> str:
    """Return a text from outside, bounded and on one line, for sentences."""
    return printable(text, LONGEST_SHOWN)


def keys(row: dict[str, Any]) -> str:
    """Return a row's keys, bounded, for sentences."""
    names = [shown(key) for key in list(row)[:9]]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or "none"
