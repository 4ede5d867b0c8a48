"""Held-out rows: what the tuned model learned, measured on rows that download kept apart.

Both models score the tokens that download made, with the labels that training has: only what the assistant
says counts.
"""

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from osft_rows.labels import IGNORED
from osft_workspace import UserError, digest_json

Tokens: TypeAlias = "array[int]"
"""Token ids, four bytes each: a list takes ten times as much."""
Segment = tuple[Tokens, Tokens]
"""A context, and what is scored after it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One held-out row, as a model reads it."""

    number: int
    """Line in eval.jsonl, from 1."""
    segments: list[Segment]
    messages: list[dict[str, Any]]
    """Everything before the last answer; empty for rows that are not chats."""
    prompt: str
    """The same as the text that the model reads."""
    reference: str
    """The last answer of the assistant."""

    @property
    def tokens(self) -> int:
        """Tokens that count."""
        return sum(len(scored) for _, scored in self.segments)

    @property
    def can_answer(self) -> bool:
        """Whether there is a prompt, and a text to compare an answer with."""
        return bool(self.prompt and self.reference.strip())


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


class Unusable(Exception):
    """One row cannot be scored."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads rows of download's tokens that both models can take."""

    longest: int
    """Most tokens that both models read."""
    vocabulary: int
    """Tokens that both models know."""

    def read(self, path: Path, limit: int, generate: int) -> Holdout:
        """Read held-out rows.

        Args:
            limit: rows used, 0 for all; they are shuffled already.
            generate: how many rows are answered too: of the chats, those whose last answer is a text.

        Raises:
            UserError: no row can be used.
        """
        rows: list[Row] = []
        reasons: dict[str, list[int]] = {}
        for number, row in numbered(path, limit):
            try:
                rows.append(self.row(number, row))
            except Unusable as error:
                reasons.setdefault(str(error), []).append(number)
        skipped = [f"{len(at)} of them, the first in line {at[0]}: {why}" for why, at in reasons.items()]
        if not rows:
            raise UserError(
                f"no held-out row can be scored: {'; '.join(skipped)}. Give other rows (data.evalUri), or "
                "set eval.holdout.enabled to false."
            )
        return Holdout(rows, [row for row in rows if row.can_answer][:generate], skipped)

    def row(self, number: int, row: Mapping[str, Any]) -> Row:
        """One row: token ids with labels, or a document, of which every token counts. Raises Unusable."""
        ids = row["input_ids"]
        segments = labelled(ids, row["labels"]) if "labels" in row else self.windows(ids)
        for context, scored in segments:
            if len(context) + len(scored) > self.longest:
                raise Unusable(f"longer than the {self.longest} tokens that the models read")
            if max(max(context), max(scored)) >= self.vocabulary:
                raise Unusable("a token that one of the models does not know")
        messages = list(row.get("messages", ()))
        return Row(number, segments, messages, row.get("prompt", ""), row.get("reference", ""))

    def windows(self, ids: Sequence[int]) -> list[Segment]:
        """Return a document in pieces that fit; the first token of each is context."""
        whole = array("i", ids)
        pieces = [whole[start : start + self.longest] for start in range(0, len(whole), self.longest)]
        segments = [(piece[:1], piece[1:]) for piece in pieces if len(piece) > 1]
        if not segments:
            raise Unusable("a document of less than two tokens")
        return segments


def numbered(path: Path, limit: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if limit and number > limit:
                return
            yield number, json.loads(line)


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


def require_template(tokenizer: Any, model: str) -> None:
    """Raise UserError when a model cannot write the prompts of tasks as chats."""
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"{model} has no chat template (chat_template.jinja or tokenizer_config.json), and the prompts "
            "of tasks are to be written with it. Use a chat model, or set "
            "eval.chatTemplate to false and leave tasks that ask chats (osft_chat) out of eval.tasks."
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
