"""Held-out rows of token ids: which tokens count."""

from array import array

import pytest

from osft_eval.holdout import Unusable, labelled


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
