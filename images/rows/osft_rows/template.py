"""The chat template of a model's own tokenizer, rendered as `apply_chat_template` renders it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Message = Mapping[str, Any]
OLD_TEMPLATE = "chat_template.json"
"""A file with a template that transformers reads for processors, and never for tokenizers."""
NO_DEFAULT = (
    "its tokenizer has no default chat template (chat_template.jinja, or chat_template in "
    "tokenizer_config.json)"
)
PROBES = ("Kq4wV", "Jz7xP", "Zv2kM", "Xw9qT")
"""Made-up words of one length, so that a template which writes only lengths says the same."""


class TemplateRefusal(Exception):
    """The chat template does not render a chat."""


class ChatTemplate:
    """Renders chats; `text` equals `tokenizer.apply_chat_template(..., tokenize=False)` for every chat.

    Raises:
        TemplateRefusal: the tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        # Both are looked up at every call of apply_chat_template, and cost more than rendering a short chat.
        self.special = dict(tokenizer.special_tokens_map)
        self.sources: dict[bool, str] = {}
        added = sorted(map(re.escape, tokenizer.get_added_vocab()), key=len, reverse=True)
        self.piece = re.compile("|".join([*added, r"\s+", rf"(?:(?!{'|'.join(added) or '$^'})\S)+"]))

    def source(self, tools: Any) -> str:
        """Return the template's text; a model may have another one for chats with tools."""
        key = bool(tools)
        if key not in self.sources:
            try:
                self.sources[key] = self.tokenizer.get_chat_template(None, tools)
            except ValueError as error:
                raise TemplateRefusal(f"{NO_DEFAULT}: {error}") from error
        return self.sources[key]

    def old_template(self) -> str:
        """Return a sentence on a template in a file that is not read; empty where that file is missing."""
        if not (Path(str(self.tokenizer.name_or_path)) / OLD_TEMPLATE).is_file():
            return ""
        return (
            f". It has {OLD_TEMPLATE}, which transformers reads for processors only; to use that template, "
            "save it as chat_template.jinja"
        )

    def check(self) -> None:
        """Check the template before any row.

        Raises:
            TemplateRefusal: it is missing, it is not valid Jinja, or it writes the same for every chat.
        """
        from jinja2 import TemplateSyntaxError

        if self.tokenizer.chat_template is None:
            raise TemplateRefusal(NO_DEFAULT + self.old_template())
        try:
            if self.probe(*PROBES[:2]) == self.probe(*PROBES[2:]):
                raise TemplateRefusal("its chat template writes the same text for every chat")
        except TemplateRefusal as refusal:
            if refusal.__cause__ is None:
                raise
            if isinstance(refusal.__cause__, TemplateSyntaxError):
                raise TemplateRefusal(f"its chat template is not valid Jinja ({refusal})") from refusal

    def probe(self, question: str, answer: str) -> str:
        """One question and its answer as the template writes them."""
        return self.text([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])

    def text(self, messages: Sequence[Message], tools: Any = None, *, ask: bool = False) -> str:
        """Render a chat.

        Args:
            ask: end with what precedes an answer of the assistant (`add_generation_prompt`).

        Raises:
            TemplateRefusal: the template raises, such as "System role not supported".
        """
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            rendered, _ = render_jinja_template(
                conversations=[messages],
                tools=tools,
                chat_template=self.source(tools),
                add_generation_prompt=ask,
                **self.special,
            )
        except Exception as error:  # the template's own code: it may raise anything
            if isinstance(error, MemoryError | TimeoutError | TemplateRefusal):
                raise
            raise TemplateRefusal(said(error)) from error
        return str(rendered[0])

    def pieces(self, text: str) -> list[str]:
        """Added tokens, runs of white space, and runs of anything else."""
        return self.piece.findall(text)


def said(error: Exception) -> str:
    """Return what a template's error says, in one line; errors of Python are named as such."""
    from jinja2 import TemplateError

    text = " ".join(str(error).split())[:200] or type(error).__name__
    return text if isinstance(error, TemplateError) else f"{type(error).__name__}: {text}"
