"""What a template writes around answers, learned from a chat of made-up words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from osft_rows.template import ChatTemplate, Message, TemplateRefusal
from osft_rows.turns import plain

USER, ANSWER = "Kw0qJ", "Kx1vZ"


@dataclass(slots=True)
class Marks:
    """Headers and end-of-turn marks of one template."""

    template: ChatTemplate
    asks: str = field(default="", init=False)
    """What the template writes to ask for an answer: the generation prompt."""
    head: str = field(default="", init=False)
    """What it writes between a question and an answer."""
    mark: str = field(default="", init=False)
    """What ends every answer, or else the last one; empty where the template writes nothing."""
    others: dict[str, str] = field(default_factory=dict, init=False)
    """What follows an answer that does not end with `mark` -> its mark."""
    unclosed: int = field(default=0, init=False)
    """Answers of this chat after which the template writes no end mark."""

    def __post_init__(self) -> None:
        """Learn the marks from a chat of made-up words."""
        user = {"role": "user", "content": USER}
        answer = {"role": "assistant", "content": ANSWER}
        self.asks = self.added([user])
        try:
            text = self.template.text([user, answer, user, answer])
            self.head = text.partition(USER)[2].partition(ANSWER)[0]
            middle = text.partition(ANSWER)[2].partition(USER)[0]
            tail = text.rpartition(ANSWER)[2] if ANSWER in text else ""
            tail = "" if USER in tail else tail  # another message follows the last answer
        except TemplateRefusal:
            return  # a template that wants more than that; its marks are found chat by chat
        # What answers in the middle and at the end have in common may hold blanks; what only the last one has
        # is taken up to its first blank, because more may follow that closes the chat.
        self.mark = self.common(tail, middle).rstrip() or closing(self.template, tail)

    def added(self, messages: Sequence[Message]) -> str:
        """Return what the template adds to a chat to ask for an answer."""
        try:
            told, asking = self.template.text(messages), self.template.text(messages, ask=True)
        except TemplateRefusal:
            return ""
        return asking[len(told) :] if asking.startswith(told) else ""

    def common(self, mark: str, text: str) -> str:
        """Return how much of a mark a text begins with, in whole pieces."""
        if text.startswith(mark):
            return mark
        found = ""
        for one, other in zip(self.template.pieces(mark), self.template.pieces(text), strict=False):
            if one != other:
                break
            found += one
        return found if found.strip() else ""

    def begin(self, before: str, whole: str, at: int, *, calls: bool = False) -> int | None:
        """Return where a turn begins, given what the template writes before a plain answer there.

        A turn that reasons has no empty place for reasoning before it: it begins where the template's
        question for an answer ends.
        """
        if whole.startswith(before, at):
            start = at + len(before)
            if (
                calls
                and self.head.strip()
                and not before.endswith(self.head)
                and whole.startswith(self.head, start)
            ):
                return start + len(self.head)  # the header of a call that a plain answer here lacks
            return start + len(self.rest_of_question(before, whole, start))
        asked = before.rpartition(self.asks) if self.asks else ("", "", "")
        if self.mark and self.mark in asked[2]:
            return None  # the question before an earlier answer
        shorter = asked[0] + asked[1]
        if shorter and whole.startswith(shorter, at):
            return at + len(shorter)
        return None

    def rest_of_question(self, before: str, whole: str, start: int) -> str:
        """Return what of the template's question an answer repeats, such as a tag that opens reasoning."""
        for shared in range(len(self.asks) - 1, 0, -1):
            if before.endswith(self.asks[:shared]):
                rest = self.asks[shared:]
                return rest if rest.strip() and whole.startswith(rest, start) else ""
        return ""

    def of(self, messages: Sequence[Message], tools: Any, turn: int, after: str) -> str:
        """Return the end-of-turn mark that `after`, which follows a turn, begins with."""
        if messages[turn]["role"] != "assistant":
            return ""
        if self.mark and after.startswith(self.mark):
            return self.mark
        key = after[:40] if turn < len(messages) - 1 else after
        if key not in self.others:
            self.others[key] = self.common(self.tail_of(messages, tools, turn, after), after)
        self.unclosed += not self.others[key]
        return self.others[key]

    def tail_of(self, messages: Sequence[Message], tools: Any, turn: int, after: str) -> str:
        """Return the mark that the template writes after this turn where the chat ends with it."""
        if turn == len(messages) - 1:
            return closing(self.template, after)
        if found := self.tail_before_question([*messages[:turn], plain(messages[turn], ANSWER)], tools):
            return found
        try:
            text = self.template.text([*messages[:turn], plain(messages[turn], ANSWER)], tools)
        except TemplateRefusal:
            return ""
        return closing(self.template, text.rpartition(ANSWER)[2])

    def tail_before_question(self, messages: Sequence[Message], tools: Any) -> str:
        """Return the mark between an answer and the template's question for the next; empty where unclear."""
        try:
            after = self.template.text(messages, tools, ask=True).rpartition(ANSWER)[2]
        except TemplateRefusal:
            return ""
        if not self.asks or not after.endswith(self.asks):
            return ""
        mark = after.removesuffix(self.asks).rstrip()
        return mark if mark.strip() else ""


def closing(template: ChatTemplate, tail: str) -> str:
    """Return the mark that begins what follows an answer: up to the white space after it, or nothing."""
    found = ""
    for piece in template.pieces(tail):
        if piece.isspace() and found.strip():
            break
        found += piece
    return found if found.strip() else ""
