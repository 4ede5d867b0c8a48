"""Texts to token ids, and where in a text each token stands."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from unicodedata import is_normalized

SPACE = "▁"
"""What SentencePiece writes for a space."""
MOST_TOKENS = 1 << 18
"""Of one text; each takes up to 300 bytes while it is encoded."""
SPARSE = 4
"""Ids of a vocabulary for each token of it, at most."""
NOT_COUNTED, PIECE = MOST_TOKENS // 4, 1 << 15
"""Characters of texts that cannot have more, as none is more than four bytes; of the pieces of others."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text.

    Positions count bytes where the tokenizer works on bytes, characters elsewhere; `position` turns the
    index of a character into one.
    """

    text: str
    ids: list[int]
    begins: Sequence[int]
    """Where each token begins, ascending."""
    ends: Sequence[int]
    bytewise: bool

    def position(self, index: int) -> int:
        """Return where a character stands."""
        return len(self.text[:index].encode()) if self.bytewise and not self.text.isascii() else index

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The tokens of the characters from `start` up to `end`: the first one, and the one after the last.

        A token that begins before belongs to them where only white space precedes them in it; one that begins
        inside and ends behind belongs to them, because a model must write it to write their end.
        """
        at, to = self.position(start), self.position(end)
        first = bisect_right(self.ends, at)
        if first < len(self.begins) and self.begins[first] < at:
            first += bool(self.before(first, start, at).strip())
        return first, max(first, bisect_left(self.begins, to))

    def before(self, token: int, start: int, at: int) -> str:
        """Return what of a token stands before a character; never many characters."""
        count = at - self.begins[token]
        return self.text[max(0, start - count) : start]


class Tokenizer:
    """Encodes texts as `tokenizer(text, add_special_tokens=False)` does, with the place of every token."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.lengths = byte_lengths(tokenizer)
        self.normalized = self.lengths is not None and tokenizer.backend_tokenizer.normalizer is not None

    def encode(self, texts: list[str]) -> list[Tokens | None]:
        """Return the tokens of each text; None where the tokenizer does not say where they stand."""
        if self.lengths is None:
            return self.plainly(texts)
        ids = ids_of(self.tokenizer, texts, add_special_tokens=False)
        found = [self.counted(*pair) for pair in zip(texts, ids, strict=True)]
        return [tokens or self.plainly([text])[0] for text, tokens in zip(texts, found, strict=True)]

    def counted(self, text: str, ids: list[int]) -> Tokens | None:
        """Places by the bytes that each token stands for; None where they do not add up to the text."""
        assert self.lengths is not None
        if self.normalized and not is_normalized("NFC", text):
            return None
        ends = list(accumulate(map(self.lengths.__getitem__, ids)))
        size = len(text) if text.isascii() else len(text.encode(errors="replace"))
        return Tokens(text, ids, [0, *ends[:-1]], ends, True) if ends and ends[-1] == size else None

    def plainly(self, texts: list[str]) -> list[Tokens | None]:
        """Places as the tokenizer says them, or by what its tokens are written like."""
        batch = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        found: list[Tokens | None] = []
        for row, (text, ids) in enumerate(zip(texts, batch["input_ids"], strict=True)):
            if self.tokenizer.is_fast:
                offsets = batch.encodings[row].offsets
            else:
                offsets = written(
                    self.tokenizer.convert_ids_to_tokens(ids), text, self.tokenizer.get_added_vocab()
                )
            if offsets is None:
                found.append(None)
            else:
                begins, ends = [begin for begin, _ in offsets], [end for _, end in offsets]
                found.append(Tokens(text, list(ids), begins, ends, False))
        return found


def has_too_many(tokenizer: Any, text: str) -> bool:
    """Whether a text has more tokens than are encoded at a time, counted piece by piece in little memory.

    The pieces of a text have a few tokens more than the whole: those of the words where they are cut.
    """
    if len(text) <= NOT_COUNTED:
        return False
    found = 0
    for start in range(0, len(text), PIECE):
        found += len(ids_of(tokenizer, [text[start : start + PIECE]])[0])
        if found > MOST_TOKENS:
            return True
    return False


def ids_of(tokenizer: Any, texts: list[str], *, add_special_tokens: bool = True) -> list[list[int]]:
    """Return the ids that `tokenizer(texts)` gives, without the places that take as much memory again."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        batch = tokenizer(texts, add_special_tokens=add_special_tokens, return_attention_mask=False)
        return list(batch["input_ids"])
    # What tokenizer.json may ask for, and apply_chat_template switches off.
    backend.no_truncation()
    backend.no_padding()
    return [row.ids for row in backend.encode_batch_fast(texts, add_special_tokens=add_special_tokens)]


def byte_lengths(tokenizer: Any) -> Sequence[int] | None:
    """How many bytes each token stands for, by its id; None for a tokenizer that does not work on bytes.

    None also for ids that are far apart, which nobody makes.

    In byte-level BPE a token has a character for each of its bytes. Counting them takes a part of the time
    that the offsets of the tokenizers library take.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not works_on_bytes(backend):
        return None
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    lengths = array("I")
    known = backend.get_vocab_size(with_added_tokens=True)
    for number in range(SPARSE * known):
        # One by one: all of them as a dict take as much memory as the tokenizer.
        token = backend.id_to_token(number)
        known -= token is not None
        lengths.append(0 if token is None else len(token.encode()) if token in added else len(token))
        if not known:
            return lengths
    return None


def works_on_bytes(backend: Any) -> bool:
    """Return whether texts go into the model byte by byte, and no normalizer but NFC changes them before."""
    from tokenizers import models

    normalizer, steps = repr(backend.normalizer), repr(backend.pre_tokenizer)
    return (
        isinstance(backend.model, models.BPE)
        and normalizer in ("None", "NFC()")
        and "ByteLevel(add_prefix_space=False" in steps
    )


def written(pieces: Sequence[str], text: str, added: Collection[str]) -> list[tuple[int, int]] | None:
    """The characters of each token by how SentencePiece writes it; None where the text is another one."""
    found, at = [], 0
    for piece in pieces:
        part = piece if piece in added else piece.replace(SPACE, " ")
        if not text.startswith(part, at):
            part = part.lstrip(" ")  # the space that SentencePiece puts before a text
        if not text.startswith(part, at):
            return None
        found.append((at, at + len(part)))
        at += len(part)
    return found
