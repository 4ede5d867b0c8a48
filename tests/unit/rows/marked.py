"""Which tokens a list of written pieces makes learned, told without the code under test."""

from collections.abc import Sequence
from typing import Any

from tests.support.small_tokenizers import LOSSLESS, pieces
from tests.support.templates.family import Piece

IGNORED = -100
Extent = tuple[int, int]


def characters(written: Sequence[Piece]) -> list[bool]:
    """Return for every character whether it is learned."""
    return [learned for text, learned in written for _ in text]


def extents(made: Any, kind: str, text: str, ids: Sequence[int]) -> list[Extent]:
    """Return the first character of each token and the one after its last.

    By the tokens' own bytes where they are the text, by the tokenizer's word elsewhere.
    """
    if kind not in LOSSLESS:
        return list(made(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"])
    character = [number for number, letter in enumerate(text) for _ in letter.encode()]
    found, at = [], 0
    for piece in pieces(made, list(ids)):
        found.append((character[at], character[at + len(piece) - 1] + 1))
        at += len(piece)
    assert at == len(character), "the tokens are not the text"
    return found


def expected(kind: str, text: str, mask: Sequence[bool], tokens: Sequence[Extent]) -> list[bool | None]:
    """Return for every token whether it is learned; None where that is left open.

    A token is learned where it overlaps what is learned and does not begin before that with other words. Left
    open are tokens that stand for nothing of the text, and white space across a border where the tokenizer
    does not report where its white space stands.
    """
    found: list[bool | None] = []
    for start, end in tokens:
        inside, blank = mask[start:end], not text[start:end].strip()
        first = start + inside.index(True) if any(inside) else None
        if start == end or (kind == "trimmed" and blank and any(inside) and not all(inside)):
            found.append(None)
        else:
            found.append(first is not None and not text[start:first].strip())
    return found


def differences(ids: Sequence[int], labels: Sequence[int], wanted: Sequence[bool | None]) -> list[int]:
    """Return the positions at which labels are not as expected."""
    return [
        at
        for at, (token, label, learned) in enumerate(zip(ids, labels, wanted, strict=True))
        if learned is not None and label != (token if learned else IGNORED)
    ]
