"""One turn of a chat, and the made-up words that stand in for what it says."""

from typing import Any

from osft_rows.template import Message

Span = tuple[int, int]
"""First character and the one after the last."""
REASONING = ("reasoning_content", "thinking", "reasoning")
BESIDE_CONTENT = (*REASONING, "tool_calls", "function_call")
"""What a message may say other than its content."""


class Unclear(Exception):
    """What a turn wrote cannot be distinguished from what the template wrote."""


def word(turn: int, chat: str = "") -> str:
    """Return a made-up word that the chat does not hold and no template trims, splits or tests for."""
    salt = turn
    while (made_up := f"Zq{turn}xKj{salt}vW") in chat:
        salt += 1
    return made_up


def plain(message: Message, content: str) -> dict[str, Any]:
    """Return the message, saying this word and nothing else."""
    kept = {key: value for key, value in message.items() if key not in BESIDE_CONTENT}
    return {**kept, "content": content}


def same_start(one: str, other: str) -> int:
    """Return how many characters two texts share from their beginning."""
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    return at
