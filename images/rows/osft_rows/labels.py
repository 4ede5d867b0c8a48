"""Spans of a text to labels of its tokens."""

from collections.abc import Sequence

from osft_rows.tokens import Tokens
from osft_rows.turns import Span

IGNORED = -100
"""The label of a token that is not learned."""


def labels_of(tokens: Tokens, spans: Sequence[Span]) -> list[int]:
    """Return the label of each token: its own id inside a span, `IGNORED` elsewhere."""
    labels = [IGNORED] * len(tokens.ids)
    for start, end in spans:
        if start < end:
            first, last = tokens.span(start, end)
            labels[first:last] = tokens.ids[first:last]
    return labels
