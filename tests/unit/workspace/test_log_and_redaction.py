"""Log lines are one line each, and secrets never reach them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_workspace import event, redact_text, redact_url
from osft_workspace.log import duration, format_value
from osft_workspace.redact import redact_value


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@host:8443/a/b?X-Amz-Signature=abc#f", "https://host:8443/a/b"),
        ("s3://bucket/key?versionId=1", "s3://bucket/key"),
        ("s3://ID:se/cr/et@bucket/key", "s3://bucket/key"),
        ("https://host:8443/a@b", "https://host:8443/a@b"),
        ("/data/train.jsonl", "/data/train.jsonl"),
    ],
)
def test_urls_lose_user_info_query_and_fragment(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_what_an_address_looks_like_is_none() -> None:
    assert (
        redact_text("expected s3://<bucket>/<key> or 'https://'")
        == "expected s3://<bucket>/<key> or 'https://'"
    )


def test_an_hf_revision_is_no_user() -> None:
    assert redact_text("from hf://org/name:config@main now") == "from hf://org/name:config@main now"


@pytest.mark.parametrize("secret", ["it's_PW", 'a"PW', "a)PW", "a<P>W", "a PW"])
@pytest.mark.parametrize("place", ["http://u:{}@h/x", "https://h/x?sig={}", "s3://h/x#{}"])
def test_a_value_that_is_an_address_is_one_to_its_end(secret: str, place: str) -> None:
    url = place.format(secret)
    assert redact_value({"uri": [url, f" {url}"]}) == {"uri": [f"{url.partition('://')[0]}://h/x"] * 2}


@pytest.mark.parametrize("secret", ["it's_PW", 'a"PW', "a)PW", "a<P>W"])
def test_a_secret_with_quotes_or_brackets_stays_out_of_sentences(secret: str) -> None:
    text = f"no 'http://u:{secret}@h/x', but (https://h/x?sig={secret}) or \"http://h/x?a={secret}\"."
    assert redact_text(text) == "no 'http://h/x', but (https://h/x) or \"http://h/x\"."


def test_values_of_secret_variables_are_replaced_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    assert redact_text("401 for token hf_verysecret at https://u:p@h/x?y=1 now") == (
        "401 for token <HF_TOKEN> at https://h/x now"
    )


@given(st.text())
def test_any_value_stays_on_one_line(text: str) -> None:
    shown = format_value(text)
    assert "\n" not in shown
    assert "\r" not in shown


def test_an_event_is_time_stage_what_and_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    event("train", "step", loss=2.345678901, note="two words", none=None)
    line = capsys.readouterr().out
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ train step loss=2\.34568 note="two words"\n', line)


@pytest.mark.parametrize(("seconds", "text"), [(45, "45s"), (200, "3m20s"), (7500, "2h05m")])
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
