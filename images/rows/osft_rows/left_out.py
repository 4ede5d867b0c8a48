"""What a chat says and the chat template does not write."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osft_rows.turns import REASONING

END_OF_REASONING = "</think>"
WORDS = {"tools": "tools", "tool_calls": "tool calls", "reasoning": "reasoning"}
"""Kinds that are not roles, for a sentence."""


def left_out(messages: Sequence[Mapping[str, Any]], tools: Any, text: str) -> frozenset[str]:
    """Kinds of text that are not in a chat's rendering: `tools`, `tool_calls`, `reasoning`, or a role."""
    found = {kind for message in messages for kind in of_message(message, text)}
    if tools and not all(named(tool, text) for tool in tools):
        found.add("tools")
    return frozenset(found)


def of_message(message: Mapping[str, Any], text: str) -> Iterator[str]:
    """Yield the kinds of text of one message that are not there."""
    content = message["content"].strip()
    if message["role"] == "assistant" and END_OF_REASONING in content and not written(content, text):
        content = visible(message)
        yield "reasoning"
    if not written(content, text):
        yield message["role"]
    if any(not written(str(message[key]).strip(), text) for key in REASONING if message.get(key)):
        yield "reasoning"
    if not all(named(call, text) for call in message.get("tool_calls") or ()):
        yield "tool_calls"


def visible(message: Mapping[str, Any]) -> str:
    """Return what a message says without the reasoning in it, which a template may leave out or move."""
    content = str(message["content"])
    return (content.rpartition(END_OF_REASONING)[2] if message["role"] == "assistant" else content).strip()


def begins(found: str, content: str) -> bool:
    """Return whether a text begins with a message's content, as it is or inside JSON, white space aside."""
    said, start = content.strip(), found.lstrip()
    if start.startswith(said):
        return True
    forms = (in_json(said), in_json(content.rstrip()))
    return found.startswith(forms) or start.startswith(forms)


def in_json(said: str) -> str:
    """Return a text as JSON writes it, without the quotes around it."""
    return json.dumps(said, ensure_ascii=False)[1:-1]


def written(said: str, text: str) -> bool:
    """Return whether a text is there, as it is or inside JSON."""
    return said in text or in_json(said) in text


def named(tool: Mapping[str, Any], text: str) -> bool:
    """Whether a text holds the name of a tool, or of what a call calls, as a word; true where it has none."""
    function = tool.get("function")
    name = str((function if isinstance(function, Mapping) else tool).get("name") or "")
    return any(re.search(rf"(?<!\w){re.escape(said)}(?!\w)", text) for said in {name, in_json(name)})


def in_words(kind: str) -> str:
    """Return a kind of text that is left out, for a sentence."""
    return WORDS.get(kind, f"messages of the role {kind}")
