"""Text from outside is shown on one line, without characters that act on a terminal or hide others."""

import datetime
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_workspace import excerpt, printable
from osft_workspace.text import LONGEST_SENTENCE, sentence
from tests.support.nesting import nested

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # surrogates, too
ACTING = {"Cc", "Cs", "Zl", "Zp", "Co", "Cn"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcode 日本語 😀", "plain text, ünïcode 日本語 😀"),
        ("non-breaking\u00a0space", "non-breaking\u00a0space"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("C:\\data\\new", "C:\\data\\new"),
        ("a\nb\r\nc\td", r"a\nb\r\nc\td"),
        ("\x1b[31mred\x1b[0m\x07\b\x00", r"\x1b[31mred\x1b[0m\x07\x08\x00"),
        ("\x9b31m\x85\x7f", r"\x9b31m\x85\x7f"),
        ("line\u2028paragraph\u2029", r"line\u2028paragraph\u2029"),
        (
            "\u202eexe.txt\u202c \u2066x\u2069 \u200f \u061c",
            r"\u202eexe.txt\u202c \u2066x\u2069 \u200f \u061c",
        ),
        ("\ufeffbom zero\u200bwidth soft\u00adhyphen", r"\ufeffbom zero\u200bwidth soft\xadhyphen"),
        ("name\udcff.jsonl", r"name\xff.jsonl"),
        ("half \ud800 pair", r"half \ud800 pair"),
        ("tag \U000e0041", r"tag \U000e0041"),
    ],
)
def test_text_from_outside_is_shown_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANY_TEXT, st.integers(3, 40))
def test_any_text_is_one_bounded_line_of_visible_characters(text: str, limit: int) -> None:
    for shown in (printable(text), printable(text, limit), sentence(text), excerpt(text, limit)):
        assert len(shown.splitlines()) <= 1
        assert not any(unicodedata.category(char) in ACTING for char in shown)
        assert not any(unicodedata.bidirectional(char) in ("RLO", "LRO", "RLE", "LRE") for char in shown)
        shown.encode()
    assert len(printable(text, limit)) <= limit
    assert len(excerpt(text, limit)) <= limit
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdefgh", 8, "abcdefgh"),
        ("abcdefgh", 7, "abcd..."),
        ("abc\n\n\n", 8, "abc\\n..."),
        ("abcdef", 0, "..."),
    ],
)
def test_a_cut_text_says_so_and_keeps_its_escapes_whole(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown


def test_a_message_of_several_lines_becomes_one() -> None:
    assert (
        sentence("No such option.\n\n  Did you mean\r\n\t--uri?\n") == "No such option. Did you mean --uri?"
    )
    assert len(sentence("x" * 10_000)) == LONGEST_SENTENCE


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": 1, "b": [None, "x\ny"]}, '{"a": 1, "b": [null, "x\\ny"]}'),
        (
            {"day": datetime.date(2024, 1, 2), "price": Decimal("1.50")},
            '{"day": "2024-01-02", "price": "1.50"}',
        ),
        (b"\xff\x00a", r"\xff\x00a"),
        ({(1, 2): "x"}, "{(1, 2): 'x'}"),
        (nested(100_000), "[" * 197 + "..."),
        ({"uri": "https://user:pw@host/x?sig=1"}, '{"uri": "https://host/x"}'),
        (12, "12"),
    ],
)
def test_an_excerpt_shows_any_value(value: Any, shown: str) -> None:
    assert excerpt(value) == shown


def test_an_excerpt_holds_no_secret_even_where_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    for before in range(30):
        for value in ("x" * before + " hf_verysecret", {"key": "x" * before + " hf_verysecret"}):
            assert "hf_" not in excerpt(value, 30)


def test_an_excerpt_of_a_huge_value_is_quick() -> None:
    assert excerpt("x" * 100_000_000, 10) == "xxxxxxx..."
    assert excerpt(b"x" * 100_000_000, 10) == "xxxxxxx..."
