"""How the report says things."""

import pytest

from osft_eval.report.words import headline, p_text, percent, signed, signed_plain


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.25, "+1.2"), (-8.64, "−8.6"), (0.04, "0.0"), (-0.04, "0.0"), (0.0, "0.0")],  # noqa: RUF001
)
def test_a_change_has_its_sign_unless_it_rounds_to_nothing(value: float, text: str) -> None:
    assert signed(value) == text


def test_a_change_that_is_no_share_has_the_digits_of_its_figures() -> None:
    assert [signed_plain(value) for value in (28.0, -0.01234, 0.0)] == ["+28", "−0.01234", "0"]  # noqa: RUF001


def test_shares_and_p_values_read_well() -> None:
    assert percent(0.8232) == "82.3\u202f%"
    assert [p_text(p) for p in (None, 0.0001, 0.0123, 0.77)] == ["–", "<\u202f0.001", "0.012", "0.77"]  # noqa: RUF001


@pytest.mark.parametrize(
    ("learned", "kept", "sentence"),
    [
        ("learned", "kept", "It learned the new rows, and no forgetting was found."),
        ("learned", "forgot", "It learned the new rows, but it forgot some of what it knew."),
        ("worse", "kept", "It got worse at the new rows, but no forgetting was found."),
        ("unclear", "forgot", "It did not clearly learn the new rows, and it forgot some of what it knew."),
        ("learned", None, "It learned the new rows."),
        (None, "forgot", "It forgot some of what it knew."),
        (None, None, "Nothing could be tested item by item."),
    ],
)
def test_the_headline_says_what_was_found(learned: str | None, kept: str | None, sentence: str) -> None:
    assert headline(learned, kept) == sentence
