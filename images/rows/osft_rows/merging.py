"""A system message moved into the first message of the user, for templates that take no system message."""

from collections.abc import Mapping, Sequence
from typing import Any


def merged_system(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]] | None:
    """Return the chat with its system messages before the first user's words, a blank line between them.

    None for a chat without a system message, or without a user message to move it into.
    """
    system = [message["content"] for message in messages if message["role"] == "system"]
    others = [dict(message) for message in messages if message["role"] != "system"]
    first = next((message for message in others if message["role"] == "user"), None)
    if not system or first is None:
        return None
    first["content"] = "\n\n".join([*system, first["content"]])
    return [*others]
