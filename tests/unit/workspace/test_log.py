"""Log lines are one line each, and secrets never reach them."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_workspace import event
from osft_workspace.log import duration, format_value


@given(st.text(st.characters(exclude_categories=())))
def test_any_value_stays_on_one_line(text: str) -> None:
    shown = format_value(text)
    assert len(shown.splitlines()) <= 1
    shown.encode()


def test_an_event_is_time_stage_what_and_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    event("train", "step", loss=2.345678901, note="two words", none=None)
    line = capsys.readouterr().out
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ train step loss=2\.34568 note="two words"\n', line)


FORGED = "\x1b[2K\r2024-01-01T00:00:00Z train done\u2028\u202e\x85\n\udcff"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"seen": "a\nb"}, r'seen="a\nb"'),
        ({"seen": 'say "a\\b"'}, r'seen="say \"a\\b\""'),
        ({"file": Path("/data/a\nb\udcff.jsonl")}, r'file="/data/a\nb\xff.jsonl"'),
        ({"names": ["a\x1b[1m", "b"]}, r'''names="['a\\x1b[1m', 'b']"'''),
        ({"a b=c\n": 1}, "a_b_c_n=1"),
        ({"uri": Path("https://u:pw@host/x?sig=1")}, "uri=https:/host/x"),
        ({"uris": ["https://u:pw@host/x?sig=1"]}, "uris=['https://host/x']"),
        ({"seen": "x" * 10_000}, f"seen={'x' * 3997}..."),
    ],
)
def test_fields_from_outside_are_shown_escaped(
    fields: dict[str, Any], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event("train", "seen", **fields)
    assert capsys.readouterr().out.split(" train seen ", 1)[1] == f"{shown}\n"


def test_no_part_of_an_event_forges_another(capsys: pytest.CaptureFixture[str]) -> None:
    event(FORGED, FORGED, **{FORGED: FORGED})
    line = capsys.readouterr().out
    assert len(line.splitlines()) == 1
    assert line.removesuffix("\n").isprintable()


def test_a_secret_with_quotes_is_hidden_in_a_quoted_field(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", 'hf "very\\secret')
    event("train", "seen", value='token hf "very\\secret.')
    assert 'value="token <HF_TOKEN>."' in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "text"), [(45, "45s"), (200, "3m20s"), (7500, "2h05m")])
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
