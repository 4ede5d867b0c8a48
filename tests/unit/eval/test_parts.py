"""What is measured on a model must be finite numbers, or the evaluation ends at once."""

import math
from typing import Any

import pytest

from osft_eval.parts import numbers
from osft_eval.watched import likelihoods, refuse
from osft_workspace import UserError


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ({"value": 0.5, "items": [{"score": 1.0}, {"score": 0.0}]}, [0.5, 1.0, 0.0]),
        ({"value": 12.5, "items": [{"score": None}]}, [12.5]),
        ([1.5, 2.5], [1.5, 2.5]),
        (["an answer", ""], []),
    ],
)
def test_the_numbers_of_a_part_are_its_losses_or_scores(result: Any, found: list[float]) -> None:
    assert list(numbers(result)) == found


def test_likelihoods_are_found_in_all_that_a_model_returns() -> None:
    assert list(likelihoods([(-1.5, True), -2.5, "text"])) == [-1.5, -2.5]


def test_a_number_that_is_not_finite_names_model_and_part() -> None:
    refuse("tuned", "capitals", [])
    with pytest.raises(UserError, match="the tuned model gives inf for capitals, expected finite numbers"):
        refuse("tuned", "capitals", [math.inf])
