"""Chats in their many forms, converted to the one form that chat templates read.

After `checked` every message is an object with a text `role` and a text `content` and no key that is null.
A chat that needs no change is returned as the same object, so that its row can keep its bytes.
"""

from typing import Any

from osft_download.calls import FUNCTION_CALL, calls_of
from osft_download.exact import parse_text
from osft_download.rules import RejectedRow, keys, kind, shown

Object = dict[str, Any]
Notes = set[str]
"""Choices of `CHOICES` that one row needed."""

ROLES = ("system", "user", "assistant", "tool", "function", "pretraining")
TAUGHT = ("assistant", "pretraining")
SPEAKERS = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    FUNCTION_CALL: "assistant",
    "tool_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
CALLING = (FUNCTION_CALL, "tool_call")
TEXT_PARTS = ("text", "input_text", "output_text")
REASONING = ("reasoning_content", "thinking")
FLAGS = ("train", "training")
CHOICES = {
    "developer": ("role of developer messages", "system", "chat templates do not know the role developer"),
    FUNCTION_CALL: (
        "form of function calls",
        "tool_calls",
        "chat templates read function_call, functions and the role function as tool_calls, tools and tool",
    ),
}


def checked(messages: Any, notes: Notes, *, turns: bool = False) -> list[Object]:
    """Check a chat and convert it to the form that templates read; the same list where nothing changes.

    `turns` says that they are ShareGPT's, whose speakers have names of their own.

    Raises:
        RejectedRow: it cannot be trained on, with the number of the message, counted from 1.
    """
    if not isinstance(messages, list):
        raise RejectedRow("not-a-list", f"messages are {kind(messages)}, expected a list")
    if not messages:
        raise RejectedRow("no-messages", "the list of messages is empty")
    legacy = any(isinstance(item, dict) and item.get(FUNCTION_CALL) is not None for item in messages)
    result = [
        checked_message(number, as_message(item, notes) if turns or is_turn(item) else item, legacy, notes)
        for number, item in enumerate(messages, 1)
    ]
    roles = [message["role"] for message in result]
    if not any(role in TAUGHT for role in roles):
        raise RejectedRow(
            "no-assistant", f"no assistant message among {', '.join(roles[:6])}: nothing to learn"
        )
    same = all(new is old for new, old in zip(result, messages, strict=True))
    return messages if same else result


def checked_message(number: int, message: Any, legacy: bool, notes: Notes) -> Object:
    """Check one message; `legacy` says that the chat calls functions as OpenAI's first form did."""
    if not isinstance(message, dict):
        raise RejectedRow("not-a-message", f"message {number} is {kind(message)}, expected an object")
    new = {key: value for key, value in message.items() if value is not None}
    role = role_of(number, new, legacy, notes)
    new["role"] = role
    where = f"message {number} ({role})"
    if FUNCTION_CALL in new and "tool_calls" not in new:
        new["tool_calls"] = [new.pop(FUNCTION_CALL)]
        notes.add(FUNCTION_CALL)
    if calls := calls_of(where, new.pop("tool_calls", None)):
        if role != "assistant":
            raise RejectedRow(
                "not-a-call", f"{where} has tool_calls, expected them in assistant messages only"
            )
        new["tool_calls"] = calls
    new["content"] = content_of(where, new)
    if role in ("user", *TAUGHT) and not calls and not new["content"].strip():
        raise RejectedRow("empty-content", f"{where} is empty")
    check_marks(where, new)
    return message if new == message else in_order(new, message)


def in_order(new: Object, message: Object) -> Object:
    """Return a changed message with its keys where they stood; new keys come last."""
    first = {key: new[key] for key in ("role", *message) if key in new}
    return first | new


def is_turn(item: Any) -> bool:
    """Return whether something is written as from/value."""
    return isinstance(item, dict) and "from" in item and "role" not in item


def as_message(turn: Any, notes: Notes) -> Any:
    """Return a turn as a message, other keys kept; the checks name what is not a turn."""
    if not isinstance(turn, dict):
        return turn
    named = {"from": "role", "value": "content"}
    message: Object = {named.get(str(key), str(key)): value for key, value in turn.items()}
    role = message.get("role")
    if not isinstance(role, str):
        return message
    message["role"] = SPEAKERS.get(role.lower(), role.lower())
    if role.lower() in CALLING and "tool_calls" not in message:
        return spoken_call(message, notes)
    return message


def spoken_call(message: Object, notes: Notes) -> Object:
    """Return a turn that says a call as JSON text as a turn that makes it; other text stays text."""
    try:
        calls = parse_text(str(message.get("content")))
        calls = calls_of("", calls if isinstance(calls, list) else [calls])
    except RejectedRow:
        return message
    if not calls:
        return message
    notes.add(FUNCTION_CALL)
    return message | {"content": "", "tool_calls": calls}


def role_of(number: int, message: Object, legacy: bool, notes: Notes) -> str:
    """Return the role under the name that templates know."""
    role = message.get("role")
    if role is None:
        raise RejectedRow("not-a-message", f"message {number} has no role (keys: {keys(message)})")
    if role == "developer":
        notes.add("developer")
        return "system"
    if role == "function" and legacy:
        return "tool"
    if role not in ROLES:
        said = f"role {shown(repr(role))}"
        raise RejectedRow("unknown-role", f"message {number} has {said}, expected one of {', '.join(ROLES)}")
    return str(role)


def content_of(where: str, message: Object) -> str:
    """Return the content as text: parts are joined, and calls of tools may come without any."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if content is None and "tool_calls" in message:
        return ""
    if not isinstance(content, list):
        seen = "no content" if content is None else f"{kind(content)} as content"
        raise RejectedRow("no-content", f"{where} has {seen}, expected text")
    return "".join(part_of(where, number, part) for number, part in enumerate(content, 1))


def part_of(where: str, number: int, part: Any) -> str:
    """Return the text of one part of a content."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise RejectedRow(
            "not-text", f"part {number} of {where} is {kind(part)}, expected a part that is text"
        )
    name = part.get("type", "text")
    if name not in TEXT_PARTS:
        said = f"of type {shown(repr(name))}"
        raise RejectedRow("not-text", f"part {number} of {where} is {said}, expected text only")
    text = part.get("text")
    if not isinstance(text, str):
        raise RejectedRow("not-text", f"part {number} of {where} has {kind(text)} as text, expected text")
    return text


def check_marks(where: str, message: Object) -> None:
    """Check what a message says of itself: its weight, whether it is learned, its reasoning."""
    weight = message.get("weight", 1)
    if isinstance(weight, bool) or weight not in (0, 1):
        raise RejectedRow("not-a-mask", f"{where} has weight {shown(repr(weight))}, expected 0 or 1")
    for name in FLAGS:
        if not isinstance(message.get(name, True), bool):
            said = shown(repr(message[name]))
            raise RejectedRow("not-a-mask", f"{where} has {name} {said}, expected true or false")
    for name in REASONING:
        if not isinstance(message.get(name, ""), str):
            raise RejectedRow("not-text", f"{where} has {kind(message[name])} as {name}, expected text")


def with_system(messages: Any, text: Any) -> tuple[Any, bool]:
    """Put the text of a `system` column before the turns; returns them and whether the column was read.

    A chat that has a system turn already keeps it, and the column counts as unread unless it says the same.
    """
    if not isinstance(messages, list) or not isinstance(text, str):
        return messages, text is None
    own = [item for item in messages if isinstance(item, dict) and is_system(item)]
    if own:
        return messages, all(text in (item.get("content"), item.get("value")) for item in own)
    return [{"role": "system", "content": text}, *messages] if text.strip() else messages, True


def is_system(message: Object) -> bool:
    """Return whether a message is the system's, in either way to write it."""
    role = message.get("role", message.get("from"))
    return isinstance(role, str) and role.lower() in ("system", "developer")
