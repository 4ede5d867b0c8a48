"""Types and names of custom properties."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_register.properties import merged, plain, prefixed, typed


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "MetadataBoolValue"),
        (0, "MetadataIntValue"),
        (-999_999_999, "MetadataIntValue"),
        (1_000_000_000, "MetadataDoubleValue"),
        (2**53, "MetadataDoubleValue"),
        (2**53 + 1, "MetadataStringValue"),
        (1.0, "MetadataDoubleValue"),
        ("", "MetadataStringValue"),
        ({"b": 1, "a": [2]}, "MetadataStringValue"),
    ],
)
def test_each_value_has_its_type(value: Any, kind: str) -> None:
    assert typed(value)["metadataType"] == kind


LETTERS = st.text(st.characters(categories=("L", "N")))


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | LETTERS | st.booleans())
def test_no_value_loses_a_digit(value: Any) -> None:
    kept = plain(typed(value))
    assert str(value) == kept if isinstance(kept, str) else value == kept


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b[1m\nb", r"a\x1b[1m b"),
        ("half \ud800 pair", r"half \ud800 pair"),
        (["a\u202e"], r'["a\u202e"]'),
        ({"a\u2028": "https://u:p@host/x?sig=1"}, r'{"a\u2028": "https://host/x"}'),
        ("x" * 10_000, "x" * 3997 + "..."),
    ],
)
def test_text_of_a_property_is_printable(value: Any, shown: str) -> None:
    assert plain(typed(value)) == shown


def test_a_prefix_is_reported_once() -> None:
    said = prefixed("training", {"final_loss": 1, "training_seconds": 2})
    assert said == {"training_final_loss": 1, "training_seconds": 2}


def test_an_update_keeps_other_peoples_properties() -> None:
    present = {"eval_old": typed(1), "osft_run_id": typed("a"), "reviewed": typed("Ada"), "osftly": typed(1)}
    now = merged(present, {"osft_run_id": typed("b"), "reviewed": typed("Bob")})
    assert now == {"osft_run_id": typed("b"), "reviewed": typed("Bob"), "osftly": typed(1)}
