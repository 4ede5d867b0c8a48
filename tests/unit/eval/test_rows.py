"""Held-out rows: which tokens count, and which rows are answered."""

import json
from array import array
from pathlib import Path
from typing import Any

import pytest

from osft_eval.holdout import Encoder, Row, Unusable, labelled, load_holdout


def test_each_run_of_labels_counts_after_everything_before_it() -> None:
    ids = [1, 2, 3, 4, 5, 6]
    assert labelled(ids, [-100, 2, 3, -100, 5, 6]) == [
        (array("i", [1]), array("i", [2, 3])),
        (array("i", [1, 2, 3, 4]), array("i", [5, 6])),
    ]


def test_the_first_token_never_counts() -> None:
    assert labelled([1, 2], [1, 2]) == [(array("i", [1]), array("i", [2]))]


@pytest.mark.parametrize("labels", [[-100, -100], [7, -100]])
def test_a_row_without_labels_is_unusable(labels: list[int]) -> None:
    with pytest.raises(Unusable, match="no label counts"):
        labelled([7, 8], labels)


class Known(Encoder):
    """An encoder whose rows come ready."""

    def encode(self, number: int, row: dict[str, Any]) -> Row:
        """A row with this reference."""
        return Row(number, [(array("i", [1]), array("i", [2]))], [], row["prompt"], row["reference"])


def test_rows_without_a_reference_text_are_scored_and_not_answered(tmp_path: Path) -> None:
    """Every answer contains the empty text."""
    path = tmp_path / "eval.jsonl"
    rows = [{"prompt": "?", "reference": text} for text in ("a", "", " ", "b")] + [
        {"prompt": "", "reference": "no chat"}
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_holdout(path, Known(None, 100, 1000), 0, 50)
    assert [row.number for row in found.rows] == [1, 2, 3, 4, 5]
    assert [row.reference for row in found.generated] == ["a", "b"]
