"""One row to tokens and labels, by the labelling code that training_hub itself uses."""

from dataclasses import dataclass, field
from typing import Any

from osft_workspace import UserError

SHORTEST = 20
"""Tokens of a chat row at least; training_hub's own limit, which drops shorter ones without a word."""

IGNORED = -100
REASONING = ("reasoning_content", "thinking")


@dataclass(slots=True)
class Encoder:
    """Tokenises rows of one run; safe to send to another process."""

    model: str
    max_seq_len: int
    vocabulary: int
    unmask: bool = False
    document_column: str = ""
    trust_remote_code: bool = False
    tokenizer: Any = field(default=None, init=False, repr=False)

    def load(self) -> None:
        """Load the tokenizer.

        Raises:
            UserError: it has no chat template, or no end token for plain text.
        """
        import os

        from instructlab.training.data_process import configure_tokenizer
        from transformers import AutoTokenizer

        os.environ["TRUST_REMOTE_CODE"] = str(self.trust_remote_code).lower()
        if self.document_column:
            self.tokenizer = AutoTokenizer.from_pretrained(
                self.model, trust_remote_code=self.trust_remote_code
            )
            if self.tokenizer.eos_token_id is None:
                raise UserError(
                    "the base model's tokenizer has no end-of-text token, which plain text needs."
                )
            return
        try:
            self.tokenizer = configure_tokenizer(self.model)
        except ValueError as error:
            raise UserError(
                f"the base model's tokenizer cannot write chat rows: {error} Choose an instruction-tuned "
                "base model (model.uri), or give rows of input_ids and labels (data.format processed)."
            ) from error

    def encode(self, row: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """The row as mini-trainer reads it, or None and why it is left out: short, long or silent.

        Raises:
            ValueError: the row has none of the known forms.
        """
        if self.document_column:
            return self.encode_document(row)
        if {"input_ids", "labels"} <= row.keys():
            ids, labels = row["input_ids"], row["labels"]
            if max(ids, default=0) >= self.vocabulary or min(ids, default=0) < 0:
                raise ValueError(
                    f"token {max(ids)} is outside the base model's vocabulary of {self.vocabulary}"
                )
            return self.judge(list(ids), list(labels), shortest=2)
        if "messages" not in row:
            raise ValueError(f"it has {', '.join(sorted(row))}, expected messages, or input_ids and labels")
        ids, labels = self.encode_messages(row)
        return self.judge(ids, labels, shortest=SHORTEST)

    def judge(self, ids: list[int], labels: list[int], shortest: int) -> tuple[dict[str, Any] | None, str]:
        """Keep a row whose length and labels can be trained on."""
        if len(ids) < shortest:
            return None, "short"
        if len(ids) >= self.max_seq_len:
            return None, "long"
        counted = sum(label != IGNORED for label in labels[1:])
        if not counted:
            return None, "silent"
        return {"input_ids": ids, "labels": labels, "len": len(ids), "num_loss_counted_tokens": counted}, ""

    def encode_messages(self, row: dict[str, Any]) -> tuple[list[int], list[int]]:
        """Tokens and labels of a conversation."""
        from instructlab.training.data_process import (
            ensure_dataset_is_compatible_with_legacy_format,
            unmask_sample,
        )
        from jinja2 import TemplateError

        row = dict(ensure_dataset_is_compatible_with_legacy_format(row))
        row["unmask"] = bool(self.unmask or row.get("unmask"))
        row["messages"] = self.renderable(row["messages"])
        try:
            encoded = unmask_sample(row, self.tokenizer)
        except TemplateError as error:  # such as "System role not supported"
            raise ValueError(f"the base model's chat template refuses it ({error})") from error
        return list(encoded["input_ids"]), list(encoded["labels"])

    def renderable(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages without reasoning that the chat template leaves out.

        Reasoning that is given and not written makes the labelling code lose the end-of-turn token of that
        message, and the model would never learn to stop.
        """
        messages = [{key: value for key, value in m.items() if value is not None} for m in messages]
        given = [(at, key) for at, message in enumerate(messages) for key in REASONING if key in message]
        if not given:
            return messages
        marked = [dict(message) for message in messages]
        for at, key in given:
            marked[at][key] = f"reasoning-of-message-{at}-end"
        text = self.tokenizer.apply_chat_template(marked, tokenize=False)
        for at, key in given:
            if f"reasoning-of-message-{at}-end" not in text:
                del messages[at][key]
        return messages

    def encode_document(self, row: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """Tokens of plain text, closed by the end token; mini-trainer cuts them into blocks."""
        text = row.get(self.document_column)
        if not isinstance(text, str):
            raise ValueError(f"it has no text in {self.document_column!r}, only {', '.join(sorted(row))}")
        if not text:
            return None, "short"
        ids = self.tokenizer.encode(text, add_special_tokens=True)
        if ids[-1] != self.tokenizer.eos_token_id:
            ids.append(self.tokenizer.eos_token_id)
        return {"input_ids": ids, "len": len(ids)}, ""
