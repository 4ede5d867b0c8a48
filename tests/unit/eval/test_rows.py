"""Held-out rows: which tokens count, and which rows are answered."""

import json
from array import array
from pathlib import Path

import pytest

from osft_eval.holdout import Reader, Unusable, labelled


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


READER = Reader(longest=4, vocabulary=1000)


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    """Rows as download encodes them."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_without_a_reference_text_are_scored_and_not_answered(tmp_path: Path) -> None:
    """Every answer contains the empty text."""
    tokens = {"input_ids": [1, 2], "labels": [-100, 2]}
    asked = [{**tokens, "prompt": "?", "reference": text} for text in ("a", "", " ", "b")]
    path = written(tmp_path / "eval.jsonl", [*asked, {**tokens, "prompt": "", "reference": "not a chat"}])
    found = READER.read(path, 0, 50)
    assert [row.number for row in found.rows] == [1, 2, 3, 4, 5]
    assert [row.reference for row in found.generated] == ["a", "b"]


def test_rows_that_a_model_cannot_read_are_left_out_by_reason(tmp_path: Path) -> None:
    rows = [
        {"input_ids": [1, 2], "labels": [-100, 2]},
        {"input_ids": [1, 2, 3, 4, 5], "labels": [-100, 2, 3, 4, 5]},
        {"input_ids": [1, 1000], "labels": [-100, 1000]},
    ]
    found = READER.read(written(tmp_path / "eval.jsonl", rows), 0, 0)
    assert [row.number for row in found.rows] == [1]
    assert found.skipped == [
        "1 of them, the first in line 2: longer than the 4 tokens that the models read",
        "1 of them, the first in line 3: a token that one of the models does not know",
    ]


def test_a_document_is_scored_in_windows_whose_first_token_is_context(tmp_path: Path) -> None:
    path = written(tmp_path / "eval.jsonl", [{"input_ids": [1, 2, 3, 4, 5, 6], "len": 6}])
    (row,) = READER.read(path, 0, 0).rows
    assert row.segments == [(array("i", [1]), array("i", [2, 3, 4])), (array("i", [5]), array("i", [6]))]
