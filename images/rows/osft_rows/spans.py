"""Which characters of a rendered chat a turn wrote: found by rendering it again, saying something else.

Nothing is marked in the text that is trained on. A chat is rendered a second time in which each turn that is
learned says one made-up word. What surrounds that word is what only the template writes; where the same
surroundings stand in the real text, what lies between them is the turn. Where a turn changes its surroundings
(reasoning, tool calls, another end), it is looked at alone, in place, and at last by what the template writes
for the chat up to it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from osft_rows.alone import Alone
from osft_rows.marks import Marks
from osft_rows.template import ChatTemplate, Message, TemplateRefusal
from osft_rows.turns import BESIDE_CONTENT, Span, Unclear, plain, word

MOST_SHAPES = 4096


class Spans:
    """Finds the spans of turns in the chats of one template."""

    def __init__(self, template: ChatTemplate) -> None:
        self.template, self.marks = template, Marks(template)
        self.shapes: dict[tuple[str, ...], list[str] | None] = {}
        """Roles of the messages of a chat -> what the template writes around them."""

    def find(
        self, messages: Sequence[Message], tools: Any, whole: str, turns: Sequence[int]
    ) -> tuple[list[Span], int, bool]:
        """Return the span of each turn, how many answers the template does not close, and if all is there.

        The span of an answer ends with its end-of-turn mark. The last value is true only where every message
        was found word for word, so that nothing of the chat is left out.

        Args:
            whole: the chat as the template renders it.
            turns: indexes of the messages that are learned, ascending.

        Raises:
            Unclear: a turn cannot be distinguished from its surroundings; the sentence names it.
        """
        self.marks.unclosed = 0
        found = self.by_shape(messages, tools, whole, turns)
        verbatim = found is not None
        if found is None:
            self.marks.unclosed = 0
            found = self.all_at_once(messages, tools, whole, turns)
        if found is None:
            self.marks.unclosed = 0
            found = [Alone(self.marks, messages, tools, whole, turn).span() for turn in turns]
        for (_, end), (start, _) in pairwise(found):
            if start < end:
                raise Unclear("two turns overlap in what the chat template writes")
        return found, self.marks.unclosed, verbatim

    def by_shape(
        self, messages: Sequence[Message], tools: Any, whole: str, turns: Sequence[int]
    ) -> list[Span] | None:
        """Every span of a chat of plain messages, by what the template writes around messages of these roles.

        None where the text is not made of just that.
        """
        if tools or any(message.get(key) for message in messages for key in BESIDE_CONTENT):
            return None
        around = self.shape(tuple(message["role"] for message in messages))
        if around is None or not whole.startswith(around[0]):
            return None
        at, found, taught = len(around[0]), [], set(turns)
        for turn, message in enumerate(messages):
            content, after = message["content"], around[turn + 1]
            start = at
            for said in (content, content.strip()):
                at = start + len(said)
                if whole.startswith(said, start) and whole.startswith(after, at):
                    break
            else:
                return None
            if turn in taught:
                start += len(self.marks.rest_of_question(around[turn], whole, start))
                found.append((start, at + len(self.marks.of(messages, tools, turn, whole[at:]))))
            at += len(after)
        return found if at == len(whole) else None

    def shape(self, roles: tuple[str, ...]) -> list[str] | None:
        """What the template writes before, between and after messages of these roles; None where unclear."""
        if roles not in self.shapes:
            if len(self.shapes) == MOST_SHAPES:
                self.shapes.clear()
            words = [word(turn) for turn in range(len(roles))]
            chat = [{"role": role, "content": made_up} for role, made_up in zip(roles, words, strict=True)]
            self.shapes[roles] = self.split(chat, words)
        return self.shapes[roles]

    def split(self, chat: Sequence[Message], words: Sequence[str], tools: Any = None) -> list[str] | None:
        """Return the text around made-up words in a chat; None if a word does not occur exactly once."""
        try:
            rest = self.template.text(chat, tools)
        except TemplateRefusal:
            return None
        around = []
        for made_up in words:
            before, found, rest = rest.partition(made_up)
            if not found or made_up in rest:
                return None
            around.append(before)
        return [*around, rest]

    def all_at_once(
        self, messages: Sequence[Message], tools: Any, whole: str, turns: Sequence[int]
    ) -> list[Span] | None:
        """Return every span by one more rendering; None where it does not settle all of them beyond doubt."""
        words = [word(turn, whole) for turn in turns]
        other = list(messages)
        for turn, made_up in zip(turns, words, strict=True):
            other[turn] = plain(messages[turn], made_up)
        around = self.split(other, words, tools)
        if around is None:
            return None
        found_spans, at = [], 0
        for turn, (before, after) in zip(turns, pairwise(around), strict=True):
            start = self.marks.begin(before, whole, at, calls=bool(messages[turn].get("tool_calls")))
            end = self.end(messages[turn], whole, start, after, last=turn == turns[-1])
            if start is None or end is None:
                return None
            found_spans.append((start, end + len(self.marks.of(messages, tools, turn, after))))
            at = end
        return found_spans

    def end(self, message: Message, whole: str, start: int | None, after: str, *, last: bool) -> int | None:
        """Return where what a turn said ends, given what follows it; None where that is in doubt."""
        if start is None:
            return None
        if last:
            end = len(whole) - len(after)
            return end if end >= start and whole.endswith(after) else None
        content = message["content"]
        if not any(message.get(key) for key in BESIDE_CONTENT):
            for said in (content, content.strip(), content.lstrip(), content.rstrip()):
                end = start + len(said)
                if whole.startswith(said, start) and whole.startswith(after, end):
                    return end
        return None  # `after` may stand elsewhere too, such as inside the reasoning of the next turn
