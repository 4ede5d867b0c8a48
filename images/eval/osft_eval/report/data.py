"""What the report says of the rows: how many trained, which did not and why, and the first as text."""

from collections.abc import Iterator, Mapping
from typing import Any

from osft_rows.left_out import in_words
from osft_workspace.text import counted

DROPPED = {
    "rows_dropped_short": "fewer tokens than data.minTokens",
    "rows_dropped_long": "as many tokens as train.maxSequenceLength, or more",
    "rows_dropped_silent": "no token to learn",
}
"""What training counts -> why such rows were not trained on."""


def data_view(download: Mapping[str, Any], training: Mapping[str, float]) -> dict[str, Any]:
    """Return the page's part on the rows: `counts`, a sentence each, and the first `rows` in pieces.

    Args:
        download: details of download's record.
        training: metrics of training's record.
    """
    tokens = download["tokens"]
    counts = [*used(download["rows"], training), *told(tokens)]
    return {"counts": counts, "rows": tokens["preview"]}


def used(rows: Mapping[str, int], training: Mapping[str, float]) -> Iterator[str]:
    """Sentences on the rows that trained, were dropped or rejected."""
    trained, dropped = int(training.get("rows", rows["train"])), 0
    yield f"{counted(trained, 'row')} trained, {rows['eval']:,} held out."
    for name, reason in DROPPED.items():
        if count := int(training.get(name, 0)):
            dropped += count
            yield f"{counted(count, 'row')} dropped: {reason}."
    if dropped > trained:
        yield f"Most of the rows were dropped: the model learned from {trained:,} of {trained + dropped:,}."
    if rows["rejected"]:
        yield f"{counted(rows['rejected'], 'row')} rejected; download/rejected.jsonl lists them."


def told(tokens: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on what the chat template or the split did to rows."""
    if overlap := tokens.get("rows_overlap"):
        rows_are = counted(overlap, "held-out row is", "held-out rows are")
        yield f"{rows_are} also among the rows to train on; data.overlap decides what happens to them."
    for kind, (count, _) in tokens.get("left_out", {}).items():
        yield f"{counted(count, 'row has', 'rows have')} {in_words(kind)} that the chat template leaves out."
    if unclosed := tokens.get("answers_unclosed"):
        yield f"{counted(unclosed, 'answer')} without an end-of-turn mark, which the template leaves out."
