"""Chats to tokens and labels.

The tokens are those of `apply_chat_template`; a label is the token itself where a turn that is learned wrote
it, and -100 elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osft_rows.labels import IGNORED, labels_of
from osft_rows.left_out import begins, left_out, named, visible, written
from osft_rows.merging import merged_system
from osft_rows.spans import Spans
from osft_rows.template import ChatTemplate, TemplateRefusal
from osft_rows.tokens import MOST_TOKENS, Tokenizer, Tokens, has_too_many
from osft_rows.transcripts import unrolled
from osft_rows.turns import BESIDE_CONTENT, Span, Unclear

__all__ = ["IGNORED", "Chats", "Encoded", "Unusable", "too_long"]
LONGEST_TEXT = 1 << 20
"""Characters that are encoded at a time."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as a model reads it."""

    input_ids: list[int]
    labels: list[int]
    """As many as `input_ids`; -100 is not learned."""
    prompt: str = ""
    """The chat up to its last answer, as text that asks for it; empty for rows that are not chats."""
    reference: str = ""
    """The last answer."""
    messages: tuple[Mapping[str, Any], ...] = ()
    """The messages before the last answer."""
    unclosed: int = 0
    """Answers that the template does not close with an end-of-turn mark."""
    merged: bool = False
    """Whether the system message was merged into the first message of the user."""
    left_out: frozenset[str] = frozenset()
    """Kinds of text that the row holds and the template does not write; see `left_out`."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a row cannot be encoded."""

    rule: str
    reason: str


def too_long(tokenizer: Any, what: str, text: str) -> Unusable | None:
    """Return the rejection of a text whose tokens would fill memory; None for any other."""
    if len(text) > LONGEST_TEXT:
        seen = f"{len(text):,} characters, expected at most {LONGEST_TEXT:,}"
    elif has_too_many(tokenizer, text):
        seen = f"more than {MOST_TOKENS:,} tokens, expected no more"
    else:
        return None
    return Unusable("too-long", f"{what} has {seen}: split it")


@dataclass(frozen=True, slots=True)
class Written:
    """A chat as text."""

    text: str
    spans: list[Span]
    messages: list[Mapping[str, Any]]
    tools: Any
    unclosed: int
    merged: bool
    verbatim: bool
    """Whether every message was found word for word."""


class Chats:
    """Encodes chats with one tokenizer.

    Args:
        unmask: learn from every message but the system's.
        system_role: what happens to a system message that the template refuses: `keep` leaves the row
            unusable, `merge` moves it into the first message of the user.
        prompts: also give the prompt and the reference of the last answer.

    Raises:
        TemplateRefusal: the tokenizer has no default chat template.
    """

    def __init__(
        self, tokenizer: Any, unmask: bool = False, system_role: str = "keep", prompts: bool = True
    ) -> None:
        self.unmask, self.merges, self.prompts = unmask, system_role == "merge", prompts
        self.tokens = Tokenizer(tokenizer)
        self.template = ChatTemplate(tokenizer)
        self.template.check()
        self.spans = Spans(self.template)

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> list[Encoded | Unusable]:
        """Encode rows of `messages`, and `tools` where they have some; one result for each, in order."""
        written = [self.write(row) for row in rows]
        chats = [item for item in written if isinstance(item, Written)]
        tokens = self.tokens.encode([chat.text for chat in chats]) if chats else []
        done = iter([self.finish(chat, found) for chat, found in zip(chats, tokens, strict=True)])
        return [item if isinstance(item, Unusable) else next(done) for item in written]

    def write(self, row: Mapping[str, Any]) -> Written | Unusable:
        """Return a row as text, with the spans that are learned."""
        messages, transcript = unrolled(row["messages"])
        tools, merged = row.get("tools") or None, False
        try:
            text = self.template.text(messages, tools)
        except TemplateRefusal as error:
            other = merged_system(messages) if self.merges else None
            if other is None:
                return Unusable("template", refusal(error))
            messages, merged = other, True
        all_roles = self.unmask or transcript or row.get("unmask") is True
        turns = [at for at, message in enumerate(messages) if learned(message, all_roles=all_roles)]
        try:
            if merged:
                text = self.template.text(messages, tools)
            if long := too_long(self.tokens.tokenizer, "the chat as the model's template writes it", text):
                return long
            spans, unclosed, verbatim = self.spans.find(messages, tools, text, turns)
        except TemplateRefusal as error:
            return Unusable("template", refusal(error))
        except Unclear as error:
            return Unusable("unclear-turns", str(error))
        missing = "" if verbatim else not_written(messages, turns, text, spans)
        if missing:
            return Unusable("not-written", missing)
        return Written(text, spans, messages, tools, unclosed, merged, verbatim)

    def finish(self, chat: Written, tokens: Tokens | None) -> Encoded | Unusable:
        """Return the labels of a chat beside its tokens."""
        if tokens is None:
            return Unusable(
                "no-offsets", "the model's tokenizer does not say where its tokens stand in the text"
            )
        labels = labels_of(tokens, chat.spans)
        prompt, reference, before = self.question(chat) if self.prompts else ("", "", ())
        missing = frozenset() if chat.verbatim else left_out(chat.messages, chat.tools, chat.text)
        return Encoded(tokens.ids, labels, prompt, reference, before, chat.unclosed, chat.merged, missing)

    def question(self, chat: Written) -> tuple[str, str, tuple[Mapping[str, Any], ...]]:
        """The prompt of the last answer that is learned, the answer, and what comes before it, or nothing."""
        answers = [at for at, message in enumerate(chat.messages) if learned(message, all_roles=False)]
        if not answers or answers[-1] == 0:
            return "", "", ()
        before = chat.messages[: answers[-1]]
        try:
            prompt = self.template.text(before, chat.tools, ask=True)
        except TemplateRefusal:
            return "", "", ()
        return prompt, str(chat.messages[answers[-1]]["content"]), tuple(before)


def refusal(error: TemplateRefusal) -> str:
    """Return the reason for a chat that the template does not render."""
    return f"the model's chat template does not render it: {error}"


def not_written(
    messages: Sequence[Mapping[str, Any]], turns: Sequence[int], text: str, spans: Sequence[Span]
) -> str:
    """Return why one of the spans is not what its message says, as half a sentence; empty where all are."""
    for turn, (start, end) in zip(turns, spans, strict=True):
        message, found = messages[turn], text[start:end]
        calls = message.get("tool_calls") or ()
        if any(named(call, found) for call in calls):
            continue  # many templates write the calls of a message and not its content; that is counted
        who, said = f"message {turn + 1} ({message['role']})", visible(message)
        if said and not written(said, found):
            return f"the model's chat template does not write the words of {who} as they are"
        alone = said == message["content"].strip() and not any(map(message.get, BESIDE_CONTENT))
        if alone and not begins(found, message["content"]):
            return f"the model's chat template writes more than the words of {who} in their place"
        if calls and not said:
            return f"the model's chat template writes nothing of {who}, which has tool calls, but its end"
    return ""


def learned(message: Mapping[str, Any], *, all_roles: bool) -> bool:
    """Return whether a message is learned: by its role, and by its own `weight`, `train` or `training`."""
    wanted = message["role"] != "system" if all_roles else message["role"] == "assistant"
    own = (message.get("weight"), message.get("train"), message.get("training"))
    return wanted and not any(value is not None and not value for value in own)
