"""What a family of chat templates is: a template, and a second description of what it writes, in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
Tools: TypeAlias = Sequence[dict[str, Any]] | None
Piece: TypeAlias = tuple[str, bool]

FOLDER = Path(__file__).parent


class Refused(Exception):
    """The template raises on this row; the text is what it says."""


def trained(message: Message) -> bool:
    """Return whether the row wants this turn to be learned."""
    asked = [bool(message[key]) for key in ("train", "training") if message.get(key) is not None]
    return message.get("weight", 1) != 0 and all(asked)


class Script:
    """The text of a chat, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def fixed(self, *texts: str) -> None:
        """Write what is never learned."""
        self.pieces += [(text, False) for text in texts if text]

    def answer(self, message: Message, *texts: str) -> None:
        """Write what the assistant says in this turn, which is learned unless the row masks the turn."""
        self.pieces += [(text, trained(message)) for text in texts if text]


Oracle: TypeAlias = Callable[[Script, list[Message], Tools], None]


@dataclass(frozen=True)
class Family:
    """One chat template after the conventions of public models.

    `marks` are the texts that the model's own tokenizer holds as one token each. `takes` names what a row may
    hold: system, tools, reasoning, turns (any order of roles). `plain` families leave no doubt about a span.
    """

    name: str
    oracle: Oracle
    eos: str
    bos: str = ""
    marks: tuple[str, ...] = ()
    takes: frozenset[str] = field(default_factory=frozenset)
    plain: bool = True

    @property
    def template(self) -> str:
        """Return the text of the template."""
        return (FOLDER / f"{self.name}.jinja").read_text(encoding="utf-8")

    def pieces(self, row: dict[str, Any]) -> list[Piece]:
        """Return what the template writes for a row, and of each piece whether it is learned.

        Raises:
            Refused: the template raises on this row.
        """
        script = Script()
        self.oracle(script, [dict(message) for message in row["messages"]], row.get("tools"))
        return script.pieces


def parity(messages: Sequence[Message], words: str) -> None:
    """Refuse turns that do not go user, assistant, user, ..."""
    for number, message in enumerate(messages):
        if (message["role"] == "user") != (number % 2 == 0):
            raise Refused(words)
