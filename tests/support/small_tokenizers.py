"""Small real tokenizers of every kind, made in memory in milliseconds.

Needs the libraries tokenizers and transformers, and no model hub.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

from tests.support.templates.families import ALL
from tests.support.templates.family import Family

SENTENCES = [
    "Who carries the lanterns near the harbour on Monday?",
    "The assistant counts the apples, and the user asks again.",
    "You are a patient clerk who answers briefly.",
    "system user assistant model tool name arguments parameters content",
    "### Instruction:\nWrite.\n\n### Response:\nDone.###END###\n\n### Instruction:\nWrite more.",
    "<start>user\nHow many?<stop>\n<start>model\nTwo.<stop>\n<start>user\nAnd now?<stop>\n",
    "USER: How many? ASSISTANT: Two.</s>USER: And now? ASSISTANT: Three.</s>",
    "[INST] How many? [/INST] Two. </s><s>[INST] And now? [/INST] Three. </s>",
    "First line.\n\nSecond line.\n\n  Third line. \n",
    "Ein Gruß aus Köln, naïve café, 東京 and a 🙂.",
    "<think>\nThree came, one left.\n</think>\n\nTwo ladders lean on the chapel.",
    '{"name": "weather", "arguments": {"city": "Oslo", "days": 2}}',
]
VOCABULARY = 700
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
UNDERLINE = "▁"
FIRST_LETTER = 1000
CROSSING = [(":", "Ġ"), (":Ġ", "T"), (">", "T"), (".", "<"), (">", "Ċ"), (">Ċ", "<")]
"""Merges of `crossing`: a byte-level vocabulary writes Ġ for a space and Ċ for a line break."""


def byte_level(*, regex: bool, trim: bool = False) -> Tokenizer:
    """Return byte-level BPE; without the regex its merges cross spaces and line breaks.

    With `trim` the offsets that it reports leave out white space, as RoBERTa's do.
    """
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    raw.decoder = decoders.ByteLevel()
    if trim:
        raw.post_processor = processors.ByteLevel(trim_offsets=True)
    limit = {} if regex else {"max_token_length": 4}  # else whole sentences become one token
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=BYTES, show_progress=False, **limit)
    raw.train_from_iterator(SENTENCES, trainer)
    return raw


def crossing() -> Tokenizer:
    """Return byte-level BPE whose first merges join the end of a header or a mark to what follows."""
    state = json.loads(byte_level(regex=False).to_str())
    vocabulary = state["model"]["vocab"]
    for left, right in CROSSING:
        vocabulary.setdefault(left + right, len(vocabulary))
    first = [list(pair) for pair in CROSSING]
    state["model"]["merges"] = [*first, *(pair for pair in state["model"]["merges"] if pair not in first)]
    return Tokenizer.from_str(json.dumps(state))


def composed() -> Tokenizer:
    """Return byte-level BPE that composes characters first (NFC), as Qwen's does."""
    raw = byte_level(regex=True)
    raw.normalizer = normalizers.NFC()
    return raw


def byte_fallback(*, legacy: bool) -> Tokenizer:
    """Return SentencePiece-like BPE, which writes unknown characters as bytes.

    `legacy`: by a normalizer that puts a space before every part of a text, as Llama 2's does.
    """
    learned = Tokenizer(models.BPE(unk_token="<unk>"))
    learned.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<unk>", *BYTE_TOKENS], limit_alphabet=70, show_progress=False
    )
    learned.train_from_iterator(SENTENCES, trainer)
    raw = with_fallback(learned)
    if legacy:
        raw.pre_tokenizer = None
        raw.normalizer = normalizers.Sequence(
            [normalizers.Prepend(UNDERLINE), normalizers.Replace(" ", UNDERLINE)]
        )
    else:
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    steps = [decoders.Replace(UNDERLINE, " "), decoders.ByteFallback(), decoders.Fuse()]
    raw.decoder = decoders.Sequence(steps)
    return raw


def with_fallback(learned: Tokenizer) -> Tokenizer:
    """Return the same BPE with byte fallback, which the trainer does not know; bytes are ordinary tokens."""

    state = json.loads(learned.to_str())
    state["model"].update(byte_fallback=True, fuse_unk=True)
    state["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(state))


def unigram() -> Tokenizer:
    """Return a unigram model that folds characters (NFKC) and runs of spaces, as T5's does."""
    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    raw.train_from_iterator(SENTENCES, trainer)
    return raw


def wordpiece() -> Tokenizer:
    """Return WordPiece as BERT's: lower case, without white space."""
    raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=["<unk>"], show_progress=False)
    raw.train_from_iterator(SENTENCES, trainer)
    return raw


class Letters(PreTrainedTokenizer):  # type: ignore[misc]
    """A tokenizer in Python, one token for each character; it reports no offsets."""

    @property
    def vocab_size(self) -> int:
        """Return the number of tokens."""
        return FIRST_LETTER + 0x110000

    def get_vocab(self) -> dict[str, int]:
        """Return the added tokens, which come before the characters."""
        return dict(self.added_tokens_encoder)

    def _tokenize(self, text: str, **ignored: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return FIRST_LETTER + ord(token)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Return the text of tokens."""
        return "".join(tokens)

    def _convert_id_to_token(self, index: int) -> str:
        return chr(index - FIRST_LETTER)


KINDS = {
    "bytes": lambda: byte_level(regex=True),
    "trimmed": lambda: byte_level(regex=True, trim=True),
    "crossing": crossing,
    "plain": crossing,
    "stripping": lambda: byte_level(regex=True),
    "composed": composed,
    "metaspace": lambda: byte_fallback(legacy=False),
    "legacy": lambda: byte_fallback(legacy=True),
    "unigram": unigram,
    "wordpiece": wordpiece,
}
"""How to train each kind. `plain` does not know the families' marks: they are text to it."""

ALL_KINDS = (*KINDS, "python")
LOSSLESS = ("bytes", "trimmed", "crossing", "plain", "python")
"""Kinds whose tokens are the bytes of the text, no more and no less."""


@cache
def trained(kind: str) -> str:
    """Return a kind's tokenizer as JSON, before any family's marks are added."""
    return KINDS[kind]().to_str()


@cache
def tokenizer(family: Family, kind: str) -> Any:
    """Return a tokenizer of a kind, or of Python, that knows a family's marks and template.

    Marks of `metaspace` take the white space after them, as Phi-3's do; those of `stripping` on both sides.
    """
    special: dict[str, Any] = {"eos_token": family.eos, "pad_token": "<pad>"}
    if family.bos:
        special["bos_token"] = family.bos
    marks = [
        AddedToken(
            mark, lstrip=kind == "stripping", rstrip=kind in ("stripping", "metaspace"), normalized=False
        )
        for mark in family.marks
    ]
    if kind == "python":
        made = Letters(additional_special_tokens=list(family.marks), **special)
    else:
        raw = Tokenizer.from_str(trained(kind))
        if kind != "plain":
            raw.add_special_tokens(marks)
        if raw.token_to_id("<unk>") is not None:
            special["unk_token"] = "<unk>"
        made = PreTrainedTokenizerFast(tokenizer_object=raw, **special)
    made.chat_template = family.template
    return made


def pieces(made: Any, ids: list[int]) -> list[bytes]:
    """Return the bytes of each token of a lossless tokenizer, from its vocabulary."""
    added = made.get_added_vocab()
    names = made.convert_ids_to_tokens(ids)
    if not made.is_fast:
        return [name.encode() for name in names]
    table = byte_of()
    return [name.encode() if name in added else bytes(table[letter] for letter in name) for name in names]


@cache
def byte_of() -> dict[str, int]:
    """Return the byte that each letter of a byte-level vocabulary stands for.

    Printable bytes stand for themselves, the others for the letters from U+0100 on, in order.
    """
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    return {chr(byte): byte for byte in itself} | {chr(256 + n): byte for n, byte in enumerate(others)}


NAMES = {family.name: family for family in ALL}
