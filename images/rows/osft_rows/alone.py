"""One turn looked at alone, in place, while every other turn says what it says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from osft_rows.marks import Marks
from osft_rows.template import Message, TemplateRefusal
from osft_rows.turns import Span, Unclear, plain, same_start, word

OPENING = re.compile(r"\s*<[^<>\s]+>\s*")
"""What a question may write that an answer does not repeat: the tag that opens reasoning."""


@dataclass(slots=True)
class Alone:
    """One turn, looked at in place while every other turn says what it says."""

    marks: Marks
    messages: Sequence[Message]
    tools: Any
    whole: str
    turn: int

    def span(self) -> Span:
        """Return the turn's span. Raises Unclear."""
        message = self.messages[self.turn]
        start = end = None
        tail = ""
        for other in variants(message, word(self.turn, self.whole)):
            before, after = self.around(other)
            if before is None:
                continue
            if start is None:
                start = self.marks.begin(before, self.whole, 0, calls=bool(message.get("tool_calls")))
            if end is None and self.whole.endswith(after) and len(self.whole) - len(after) >= (start or 0):
                end = len(self.whole) - len(after)
                tail = self.marks.of(self.messages, self.tools, self.turn, after)
        start = self.by_question() if start is None else start
        if start is not None and end is not None and start <= end:
            return start, end + len(tail)
        stop = self.by_prefix()
        if start is None or stop is None or stop < start:
            raise Unclear(
                f"what message {self.turn + 1} ({message['role']}) says cannot be distinguished from what "
                "the chat template writes around it"
            )
        return start, stop

    def around(self, other: Message) -> tuple[str | None, str]:
        """What stands before and after a made-up word in place of the turn; None where it is not clear."""
        chat = [*self.messages[: self.turn], other, *self.messages[self.turn + 1 :]]
        try:
            before, found, after = self.marks.template.text(chat, self.tools).partition(other["content"])
        except TemplateRefusal:
            return None, ""
        return (before, after) if found and other["content"] not in after else (None, "")

    def by_question(self) -> int | None:
        """Return where the template's question for this answer ends in the text."""
        try:
            asking = self.marks.template.text(self.messages[: self.turn], self.tools, ask=True)
            plain_text = self.marks.template.text(self.messages[: self.turn], self.tools)
        except TemplateRefusal:
            return None
        if self.whole.startswith(asking):
            return len(asking)
        shared = same_start(asking, self.whole)
        pieces, at = self.marks.template.pieces(asking), 0
        for piece in pieces:
            if at + len(piece) > shared:
                break
            at += len(piece)
        known = at >= len(plain_text) > 0 and self.whole.startswith(plain_text)
        return at if known and OPENING.fullmatch(asking, at) else None

    def by_prefix(self) -> int | None:
        """Return where the turn ends with its mark, by the text of the chat up to it."""
        try:
            text = self.marks.template.text(self.messages[: self.turn + 1], self.tools)
        except TemplateRefusal:
            return None
        return len(text.rstrip()) if self.whole.startswith(text) else None


def variants(message: Message, content: str) -> list[dict[str, Any]]:
    """Return the message with a made-up word for what it says, from the plainest on."""
    found = [plain(message, content)]
    if message.get("tool_calls"):
        found.append({**found[0], "tool_calls": message["tool_calls"]})
    return found
