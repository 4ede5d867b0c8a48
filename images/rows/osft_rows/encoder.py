"""Rows of every kind to the lines that training and evaluation read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from osft_rows.chat import Chats, Encoded, Unusable, too_long
from osft_rows.labels import IGNORED
from osft_rows.loading import load_tokenizer
from osft_rows.settings import Settings
from osft_rows.template import TemplateRefusal
from osft_rows.tokens import ids_of
from osft_workspace import UserError, digest_json

SHORT, LONG, SILENT = "short", "long", "silent"
"""Why a row that can be encoded is not trained on."""
SHORTEST_PROCESSED = 2
"""Tokens of a row of token ids at least: the first one has nothing before it to be predicted from."""


class Result(NamedTuple):
    """What became of one row. Tuples pass between processes in half the time of objects."""

    line: bytes = b""
    """The row as JSON, for training and evaluation; empty for a rejected row."""
    rule: str = ""
    """Why it is rejected, or one of SHORT, LONG, SILENT; empty for a row to train on."""
    reason: str = ""
    """The same as a sentence, for a rejected row."""
    tokens: int = 0
    learned: int = 0
    """Tokens that count for the loss."""
    digest: int = 0
    """Of the tokens, 64 bits: equal rows have the same."""
    unclosed: int = 0
    """Answers without an end-of-turn mark."""
    merged: bool = False
    """Whether a system message was merged."""
    left_out: frozenset[str] = frozenset()
    """Kinds of text of the row that the chat template does not write."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tokenizer is, for logs and the record."""

    kind: str
    tokens: int
    template_digest: str
    """Of the default chat template; empty where there is none."""
    end_of_turn: str
    """The mark that ends an answer, as the chat template writes it."""
    end_of_turn_ids: list[int]
    eos_token: str
    eos_token_id: int | None


class RowEncoder:
    """Encodes rows of one kind with the tokenizer of the base model.

    Raises:
        UserError: the tokenizer cannot be loaded, or cannot write what the rows need.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokenizer = load_tokenizer(settings)
        self.found: Chats | None = None

    @property
    def chats(self) -> Chats:
        """What encodes chats. Raises UserError where the model cannot write them."""
        if self.found is None:
            settings = self.settings
            try:
                self.found = Chats(self.tokenizer, settings.unmask, settings.system_role)
            except TemplateRefusal as error:
                raise UserError(
                    f"the base model does not support chats: {error}. Use an instruction-tuned base model "
                    "(model.uri), or rows of input_ids and labels (data.format: processed)."
                ) from error
        return self.found

    def facts(self) -> Facts:
        """Return what is known of the tokenizer without any row."""
        chats = self.chats if self.tokenizer.chat_template else None
        mark = chats.spans.marks.mark if chats else ""
        ids = self.tokenizer(mark, add_special_tokens=False)["input_ids"] if mark else []
        return Facts(
            type(self.tokenizer).__name__,
            len(self.tokenizer),
            digest_json(chats.template.source(None)) if chats else "",
            mark,
            list(ids),
            str(self.tokenizer.eos_token or ""),
            self.tokenizer.eos_token_id,
        )

    def encode(self, lines: Sequence[bytes], *, prompts: bool = False) -> list[Result]:
        """Encode rows that are JSON objects, all of one kind; one result for each, in order.

        Args:
            prompts: also give what evaluation asks: prompt, reference and messages of the last answer.
        """
        rows = [orjson.loads(line) for line in lines]
        if not rows:
            return []
        if "input_ids" in rows[0] and "labels" in rows[0]:
            encoded = [Encoded(row["input_ids"], row["labels"]) for row in rows]
            return [self.unknown(item.labels) or self.result(item, SHORTEST_PROCESSED) for item in encoded]
        if "messages" in rows[0]:
            self.chats.prompts = prompts
            return [self.result(item, self.settings.shortest) for item in self.chats.encode(rows)]
        texts = [row[self.settings.document] for row in rows]
        long = [too_long(self.tokenizer, "the document", text) for text in texts]
        found = iter(self.documents([text for text, reason in zip(texts, long, strict=True) if not reason]))
        return [
            self.result(reason, SHORTEST_PROCESSED) if reason else self.document(next(found))
            for reason in long
        ]

    def documents(self, texts: list[str]) -> list[list[int]]:
        """Tokens of plain texts, each closed by the end token. Raises UserError where there is none."""
        end = self.tokenizer.eos_token_id
        if end is None:
            raise UserError(
                "the base model's tokenizer has no end-of-text token (eos_token) to close documents with. "
                "Set eos_token in its tokenizer_config.json, or use another base model (model.uri)."
            )
        if not texts:
            return []
        return [ids if ids[-1:] == [end] else [*ids, end] for ids in ids_of(self.tokenizer, texts)]

    def document(self, ids: list[int]) -> Result:
        """Return the result of a document: every token of it is learned, blocks are cut later."""
        if unknown := self.unknown(ids):
            return unknown
        line = orjson.dumps({"input_ids": ids, "len": len(ids)})
        return Result(line, "", "", len(ids), len(ids), digest_of(ids))

    def result(self, item: Encoded | Unusable, shortest: int) -> Result:
        """Return the line of a row, and whether it can be trained on."""
        if isinstance(item, Unusable):
            return Result(rule=item.rule, reason=item.reason)
        ids, labels = item.input_ids, item.labels
        if unknown := self.unknown(ids):
            return unknown
        learned = len(labels) - 1 - labels[1:].count(IGNORED) if labels else 0
        row: dict[str, Any] = {
            "input_ids": ids,
            "labels": labels,
            "len": len(ids),
            "num_loss_counted_tokens": learned,
        }
        if item.prompt:
            row |= {"prompt": item.prompt, "reference": item.reference, "messages": item.messages}
        return Result(
            orjson.dumps(row),
            self.left_out(len(ids), learned, shortest),
            "",
            len(ids),
            learned,
            digest_of(ids),
            item.unclosed,
            item.merged,
            item.left_out,
        )

    def left_out(self, tokens: int, learned: int, shortest: int) -> str:
        """Return why a row is not trained on, or nothing."""
        if tokens < shortest:
            return SHORT
        if self.settings.longest and tokens >= self.settings.longest:
            return LONG
        return "" if learned else SILENT

    def unknown(self, ids: Sequence[int]) -> Result | None:
        """Return the rejection of a row with a token or a label that the base model has no embedding for."""
        if not ids or max(ids) < self.settings.vocabulary:
            return None
        return Result(
            rule="unknown-token",
            reason=f"token id {max(ids)} is outside the base model's {self.settings.vocabulary} embeddings",
        )


def digest_of(ids: Sequence[int]) -> int:
    """64 bits that tell rows of other tokens apart."""
    return int.from_bytes(hashlib.blake2b(orjson.dumps(ids), digest_size=8).digest())


def preview(tokenizer: Any, row: Mapping[str, Any], longest: int) -> list[dict[str, Any]]:
    """Return a row as text, cut where learned and other tokens meet: `text` and `learned` of each piece.

    Args:
        longest: tokens shown at most.
    """
    ids = row["input_ids"][:longest]
    labels = row.get("labels", ids)[:longest]
    pieces: list[dict[str, Any]] = []
    first = 0
    for at in range(1, len(ids) + 1):
        if at == len(ids) or (labels[at] == IGNORED) != (labels[first] == IGNORED):
            text = tokenizer.decode(ids[first:at], skip_special_tokens=False)
            pieces.append({"text": text, "learned": labels[first] != IGNORED})
            first = at
    return pieces
