"""The text metrics that need no library; the others are tested through the stage."""

import pytest

from osft_eval import metrics


def test_an_exact_match_ignores_case_and_runs_of_space() -> None:
    assert metrics.exact_match(" The  CAT\n", "the cat") == 1
    assert metrics.exact_match("the cat sat", "the cat") == 0


def test_contains_wants_the_whole_reference() -> None:
    assert metrics.contains("I think the CAT sat.", "the cat") == 1
    assert metrics.contains("the c", "the cat") == 0


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("a cat sat", "the cat sat down", 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)),
        ("cat cat", "cat", 2 * 0.5 * 1 / 1.5),
        ("dog", "cat", 0.0),
        ("", "", 1.0),
        ("", "cat", 0.0),
        ("猫 です", "猫", 2 * 0.5 * 1 / 1.5),
    ],
)
def test_word_f1_counts_words_as_often_as_they_stand(answer: str, reference: str, f1: float) -> None:
    assert metrics.token_f1(answer, reference) == pytest.approx(f1)
