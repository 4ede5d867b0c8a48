"""Held-out rows: what the tuned model learned, measured on rows that download kept apart.

Both models score the same token ids, written with the tuned model's own chat template. Only what the
assistant says counts.
"""

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from osft_workspace import UserError, digest_json

SWITCH = "eval.holdout.enabled"
IGNORED = -100
"""The label of a token that training does not count."""

Tokens: TypeAlias = "array[int]"
"""Token ids, four bytes each: a list takes ten times as much."""
Segment = tuple[Tokens, Tokens]
"""A context, and what is scored after it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One held-out row, encoded."""

    number: int
    """Line in eval.jsonl, from 1."""
    segments: list[Segment]
    messages: list[dict[str, Any]]
    """Everything before the last answer; empty for rows that are no chat."""
    prompt: str
    """The same as the text that the model reads."""
    reference: str
    """The last answer of the assistant."""

    @property
    def tokens(self) -> int:
        """Tokens that count."""
        return sum(len(scored) for _, scored in self.segments)


@dataclass(frozen=True, slots=True)
class Holdout:
    """The rows of one evaluation, and which of them could not be used."""

    rows: list[Row]
    generated: list[Row]
    """Those that are answered too."""
    skipped: list[str]
    """Why rows were left out, one sentence for each reason."""

    @property
    def loss_digest(self) -> str:
        lengths = [[(len(a), len(b)) for a, b in row.segments] for row in self.rows]
        content = hashlib.sha256()
        for row in self.rows:
            for context, scored in row.segments:
                content.update(context.tobytes() + scored.tobytes())
        return digest_json([lengths, content.hexdigest()])

    @property
    def answers_digest(self) -> str:
        return digest_json([[row.messages, row.prompt] for row in self.generated])


def load_holdout(path: Path, encoder: "Encoder", limit: int, generate: int) -> Holdout:
    """Read and encode held-out rows.

    Args:
        limit: rows used, 0 for all; they are shuffled already.
        generate: how many rows are answered too: of the chats, those whose last answer is a text.

    Raises:
        UserError: no row can be used.
    """
    rows: list[Row] = []
    reasons: dict[str, list[int]] = {}
    for number, row in read_rows(path, limit):
        try:
            rows.append(encoder.encode(number, row))
        except Unusable as error:
            reasons.setdefault(str(error), []).append(number)
    skipped = [f"{len(lines)} of them, the first in line {lines[0]}: {why}" for why, lines in reasons.items()]
    if not rows:
        raise UserError(
            f"no held-out row can be scored: {'; '.join(skipped)}. "
            f"Use a chat model, or set {SWITCH} to false."
        )
    asked = [row for row in rows if row.prompt and row.reference.strip()]
    return Holdout(rows, asked[:generate], skipped)


class Unusable(Exception):
    """One row cannot be scored."""


def read_rows(path: Path, limit: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers; the download stage has checked them."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if limit and number > limit:
                return
            yield number, json.loads(line)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Writes rows as token ids that both models can read."""

    tokenizer: Any
    longest: int
    """Most tokens that both models read."""
    vocabulary: int
    """Tokens that both models know."""

    def encode(self, number: int, row: dict[str, Any]) -> Row:
        """Encode a row of chat messages, of processed token ids, or a document. Raises Unusable."""
        if "input_ids" in row:
            return Row(number, self.checked(labelled(row["input_ids"], row["labels"])), [], "", "")
        if "document" in row:
            return Row(number, self.checked(self.windows(str(row["document"]))), [], "", "")
        if "messages" not in row:
            raise Unusable(f"no messages, input_ids or document, only {', '.join(sorted(row))}")
        messages, tools = row["messages"], row.get("tools")
        turns = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
        if not turns:
            raise Unusable("no assistant turn")
        segments = self.checked([self.turn(messages, turn, tools) for turn in turns])
        before = messages[: turns[-1]]
        reference = str(messages[turns[-1]]["content"] or "")
        return Row(number, segments, before, self.render(before, tools, ask=True), reference)

    def turn(self, messages: list[dict[str, Any]], turn: int, tools: Any) -> Segment:
        """An assistant turn after everything before it. Closing white space does not count."""
        asked = self.tokens(self.render(messages[:turn], tools, ask=True))
        whole = self.tokens(self.render(messages[: turn + 1], tools, ask=False).rstrip())
        shared = 0
        while shared < min(len(asked), len(whole)) and asked[shared] == whole[shared]:
            shared += 1
        if not 0 < shared < len(whole):
            raise Unusable("the chat template leaves nothing of the assistant's answer")
        return whole[:shared], whole[shared:]

    def windows(self, text: str) -> list[Segment]:
        """A document in pieces that fit; the first token of each is context."""
        whole = array("i", self.tokenizer.encode(text))
        pieces = [whole[start : start + self.longest] for start in range(0, len(whole), self.longest)]
        segments = [(piece[:1], piece[1:]) for piece in pieces if len(piece) > 1]
        if not segments:
            raise Unusable("a document of less than two tokens")
        return segments

    def tokens(self, text: str) -> Tokens:
        return array("i", self.tokenizer.encode(text, add_special_tokens=False))

    def render(self, messages: list[dict[str, Any]], tools: Any, *, ask: bool) -> str:
        """The text that the model reads, by the tokenizer's own template."""
        from jinja2 import TemplateError

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tools=tools, tokenize=False, add_generation_prompt=ask
                )
            )
        except TemplateError as error:
            raise Unusable(f"the chat template refuses it ({error})") from error

    def checked(self, segments: list[Segment]) -> list[Segment]:
        """The same segments. Raises Unusable when a model cannot read them."""
        for context, scored in segments:
            if len(context) + len(scored) > self.longest:
                raise Unusable(f"longer than the {self.longest} tokens that the models read")
            if max(max(context), max(scored)) >= self.vocabulary:
                raise Unusable("a token that one of the models does not know")
        return segments


def labelled(ids: Sequence[int], labels: Sequence[int]) -> list[Segment]:
    """One segment for each run of labels that count; the first token has no context and never counts."""
    segments: list[Segment] = []
    place = 1
    while place < len(ids):
        end = place
        while end < len(ids) and labels[end] != IGNORED:
            end += 1
        if end > place:
            segments.append((array("i", ids[:place]), array("i", ids[place:end])))
        place = end + 1
    if not segments:
        raise Unusable("no label counts")
    return segments


def require_template(tokenizer: Any, model: str, switch: str = SWITCH) -> None:
    """Raises UserError when the model cannot say how its chats are written."""
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"{model} has no chat template (chat_template.jinja or tokenizer_config.json), and chats "
            f"cannot be written for it. Use a chat model, or set {switch} to false."
        )


def losses(lm: Any, rows: Sequence[Row]) -> list[float]:
    """Summed negative log-likelihood, in nats, of what counts in each row."""
    owners = [place for place, row in enumerate(rows) for _ in row.segments]
    requests = [segment for row in rows for segment in row.segments]
    totals = [0.0] * len(rows)
    for owner, (logprob, _) in zip(owners, lm.token_likelihoods(requests), strict=True):
        totals[owner] -= logprob
    return totals


def answers(lm: Any, rows: Sequence[Row], arguments: dict[str, Any], *, chat: bool) -> list[str]:
    """Generate an answer to each row.

    Args:
        arguments: for generation; greedy unless they say otherwise.
        chat: the model is a chat endpoint, which takes messages and writes the prompt itself.
    """
    from lm_eval.api.instance import Instance

    requests = [
        Instance(
            "generate_until",
            doc={},
            arguments=(lm.apply_chat_template(row.messages) if chat else row.prompt, dict(arguments)),
            idx=place,
        )
        for place, row in enumerate(rows)
    ]
    return [str(answer).strip() for answer in lm.generate_until(requests)]
