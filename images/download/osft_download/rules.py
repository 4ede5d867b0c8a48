"""The rules that every row must keep, each with a name that `rejected.jsonl` repeats."""

from typing import Any

RULES = {
    "not-json": "the line is one JSON value",
    "not-utf8": "text is UTF-8",
    "too-long": "a line is at most 64 MiB",
    "wrong-cells": "a CSV row has as many cells as the header",
    "not-an-object": "a row is a JSON object",
    "unknown-format": "a row has the columns of a known format",
    "not-a-list": "messages are a list",
    "no-messages": "the list is not empty",
    "not-a-message": "each message is an object with a role and content",
    "unknown-role": "the role is one that chat templates know",
    "no-content": "each message has content that is text; null is allowed nowhere",
    "empty-content": "user and assistant say something",
    "no-assistant": "at least one message is the assistant's (or `pretraining`), or nothing can be learned",
    "not-token-ids": "input_ids and labels are lists of whole numbers; a label is a token id or -100",
    "lengths-differ": "there are as many labels as input_ids",
    "nothing-to-learn": "at least one label is not -100",
    "no-text": "a document, a prompt or a completion is text and not empty",
}
ROLES = ("system", "user", "assistant", "tool", "function", "pretraining")
TAUGHT = ("assistant", "pretraining")
MASKED = -100
LONGEST_SHOWN = 40  # characters of somebody's text in a sentence


class BadRow(Exception):
    """A row that breaks a rule."""

    def __init__(self, rule: str, reason: str) -> None:
        assert rule in RULES, rule
        super().__init__(reason)
        self.rule, self.reason = rule, reason


def check_messages(messages: Any) -> None:
    """A chat that can be trained on.

    Raises:
        BadRow: with the number of the message, counted from 1.
    """
    if not isinstance(messages, list):
        raise BadRow("not-a-list", f"messages are {kind(messages)}, expected a list")
    if not messages:
        raise BadRow("no-messages", "the list of messages is empty")
    roles = [check_message(number, message) for number, message in enumerate(messages, 1)]
    if not any(role in TAUGHT for role in roles):
        raise BadRow("no-assistant", f"no assistant message among {', '.join(roles[:6])}: nothing to learn")


def check_message(number: int, message: Any) -> str:
    """One message; returns its role."""
    if not isinstance(message, dict):
        raise BadRow("not-a-message", f"message {number} is {kind(message)}, expected an object")
    role = message.get("role")
    if role is None:
        raise BadRow("not-a-message", f"message {number} has no role (keys: {keys(message)})")
    if role not in ROLES:
        raise BadRow(
            "unknown-role",
            f"message {number} has role {repr(role)[:LONGEST_SHOWN]}, expected one of {', '.join(ROLES)}",
        )
    content = message.get("content")
    if not isinstance(content, str):
        seen = "no content" if "content" not in message else f"{kind(content)} as content"
        raise BadRow("no-content", f"message {number} ({role}) has {seen}, expected text")
    if role in ("user", *TAUGHT) and not content.strip() and not message.get("tool_calls"):
        raise BadRow("empty-content", f"message {number} ({role}) is empty")
    return str(role)


def check_tokens(input_ids: Any, labels: Any) -> None:
    """A row that is token ids already."""
    for name, ids, least in (("input_ids", input_ids, 0), ("labels", labels, MASKED)):
        if not isinstance(ids, list) or not ids:
            raise BadRow("not-token-ids", f"{name} are {kind(ids)}, expected a list of token ids")
        if not all(type(token) is int and (token >= 0 or token == least) for token in ids):
            raise BadRow("not-token-ids", f"{name} hold something that is no token id")
    if len(input_ids) != len(labels):
        raise BadRow("lengths-differ", f"{len(input_ids)} input_ids and {len(labels)} labels")
    if all(label == MASKED for label in labels):
        raise BadRow("nothing-to-learn", f"every label is {MASKED}: nothing to learn")


def check_text(name: str, text: Any) -> None:
    """A text that is there."""
    if not isinstance(text, str):
        raise BadRow("no-text", f"{name} is {kind(text)}, expected text")
    if not text.strip():
        raise BadRow("no-text", f"{name} is empty")


def kind(value: Any) -> str:
    """The JSON name of a value's type, for sentences."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    names = {dict: "an object", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def keys(row: dict[str, Any]) -> str:
    """A row's keys, bounded, for sentences."""
    names = [str(key)[:LONGEST_SHOWN] for key in row]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or "none"
