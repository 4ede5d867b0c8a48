"""Held-out rows: what the tuned model learned, measured on rows it never saw.

Both models score the same token ids, written with the tuned model's own chat template. Only what the
assistant says counts.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osft_workspace import UserError, digest_json

REMEDY = "Use a chat model, or set eval.holdout.enabled to false."
IGNORED = -100
"""The label of a token that training does not count."""

Segment = tuple[list[int], list[int]]
"""Token ids of a context, and of what is scored after it."""


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
        return digest_json([row.segments for row in self.rows])

    @property
    def answers_digest(self) -> str:
        return digest_json([[row.messages, row.prompt] for row in self.generated])


def load_holdout(path: Path, tokenizer: Any, longest: int, limit: int, generate: int) -> Holdout:
    """Read and encode held-out rows.

    Args:
        longest: most tokens that both models read.
        limit: rows used, 0 for all; they are shuffled already.
        generate: how many chat rows are answered too.

    Raises:
        UserError: no row can be used.
    """
    rows: list[Row] = []
    reasons: dict[str, list[int]] = {}
    for number, row in read_rows(path, limit):
        try:
            encoded = encode(number, row, tokenizer)
        except Unusable as error:
            reasons.setdefault(str(error), []).append(number)
            continue
        if any(len(context) + len(scored) > longest for context, scored in encoded.segments):
            reasons.setdefault(f"longer than the model's {longest} tokens", []).append(number)
            continue
        rows.append(encoded)
    skipped = [f"{len(lines)} rows, first line {lines[0]}: {why}" for why, lines in reasons.items()]
    if not rows:
        raise UserError(f"no held-out row can be scored: {'; '.join(skipped) or 'there is none'}. {REMEDY}")
    chats = [row for row in rows if row.prompt]
    return Holdout(rows, chats[:generate], skipped)


class Unusable(Exception):
    """One row cannot be scored."""


def read_rows(path: Path, limit: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers; the download stage has checked them."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if limit and number > limit:
                return
            yield number, json.loads(line)


def encode(number: int, row: dict[str, Any], tokenizer: Any) -> Row:
    """Encode a row of chat messages or of processed token ids."""
    if "input_ids" in row:
        return Row(number, labelled(row["input_ids"], row["labels"]), [], "", "")
    if "messages" not in row:
        raise Unusable(f"neither messages nor input_ids, only {', '.join(sorted(row))}")
    messages = row["messages"]
    turns = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if not turns:
        raise Unusable("no assistant turn")
    segments = [turn_segment(messages, turn, tokenizer, row.get("tools")) for turn in turns]
    before = messages[: turns[-1]]
    prompt = render(tokenizer, before, row.get("tools"), ask=True)
    return Row(number, segments, before, prompt, str(messages[turns[-1]]["content"]))


def labelled(ids: Sequence[int], labels: Sequence[int]) -> list[Segment]:
    """One segment for each run of labels that count; the first token has no context and never counts."""
    segments: list[Segment] = []
    place = 1
    while place < len(ids):
        end = place
        while end < len(ids) and labels[end] != IGNORED:
            end += 1
        if end > place:
            segments.append((list(ids[:place]), list(ids[place:end])))
        place = end + 1
    if not segments:
        raise Unusable("no label counts")
    return segments


def turn_segment(messages: list[dict[str, Any]], turn: int, tokenizer: Any, tools: Any) -> Segment:
    """An assistant turn after everything before it. The template's closing white space does not count."""
    asked = tokenizer.encode(render(tokenizer, messages[:turn], tools, ask=True), add_special_tokens=False)
    text = render(tokenizer, messages[: turn + 1], tools, ask=False).rstrip()
    whole = tokenizer.encode(text, add_special_tokens=False)
    shared = 0
    while shared < min(len(asked), len(whole)) and asked[shared] == whole[shared]:
        shared += 1
    if not 0 < shared < len(whole):
        raise Unusable("the chat template leaves nothing of the assistant's answer")
    return whole[:shared], whole[shared:]


def render(tokenizer: Any, messages: list[dict[str, Any]], tools: Any, *, ask: bool) -> str:
    """The text that the model reads, by the tokenizer's own template."""
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=ask)
        )
    except TemplateError as error:
        raise Unusable(f"the chat template refuses it ({error})") from error


def require_template(tokenizer: Any, model: str) -> None:
    """Raises UserError when the model cannot say how its chats are written."""
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"{model} has no chat template (chat_template.jinja or tokenizer_config.json), and chat rows "
            f"cannot be written for it. {REMEDY}"
        )


def losses(lm: Any, rows: Sequence[Row]) -> list[float]:
    """Summed negative log-likelihood, in nats, of what counts in each row."""
    owners = [place for place, row in enumerate(rows) for _ in row.segments]
    requests = [(None, context, scored) for row in rows for context, scored in row.segments]
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
