"""How much of an answer is read, and which JSON is taken."""

import gzip
import time
from datetime import UTC, datetime

import pytest

from osft_workspace.answers import LONGEST_PAUSE, Body, Misfit, parse_json, retry_after
from osft_workspace.deadline import TooSlow, deadline

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", "not JSON .*it is empty"),
        (b"<html>", "not JSON .*begins with '<html>'"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[1e999]", "too large"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b"\xff", "not UTF-8"),
        (b"[" * 65, "more than 64 levels deep"),
        (b"[" + b"0," * 2000, "more than 1,000 JSON values"),
        (b"9" * 5000, "not JSON"),
    ],
)
def test_json_that_cannot_be_used_is_reported(content: bytes, seen: str) -> None:
    with pytest.raises(Misfit, match=seen):
        parse_json(content, 1000)


def test_brackets_inside_of_strings_do_not_count() -> None:
    assert parse_json(b'["' + b"[" * 100 + b'"]', 1000) == ["[" * 100]


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_a_body_is_cut_at_its_limit_before_it_is_held(encoding: str) -> None:
    content = bytes(10_000_000)
    packed = gzip.compress(content) if encoding else content
    body = Body(iter([packed]), encoding, 1_000_000, 60)
    with pytest.raises(Misfit, match="more than 1 MB"):
        list(body)
    assert not encoding or body.count <= 1_000_000 + (1 << 16)


def test_joined_and_whole_packings_are_read_and_cut_ones_are_not() -> None:
    twice = gzip.compress(b"one") + gzip.compress(b"two")
    assert b"".join(Body(iter([twice[:30], twice[30:]]), "gzip", 100, 60)) == b"onetwo"
    with pytest.raises(Misfit, match="ends early"):
        list(Body(iter([twice[:30]]), "gzip", 100, 60))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("99999999999999999999", LONGEST_PAUSE),
        ("-1", 0),
        ("nan", 0),
        ("", 0),
        ("Thu, 01 Jan 2026 00:00:07 GMT", 7),
        ("Wed, 21 Oct 2099 07:28:00 GMT", LONGEST_PAUSE),
        ("Wed, 21 Oct 1999 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_obeyed_within_bounds(text: str, seconds: float) -> None:
    assert retry_after({"retry-after": text}, NOW) == seconds


def test_a_wait_without_end_is_ended() -> None:
    with pytest.raises(TooSlow), deadline(0.05, lambda spent: None):
        time.sleep(60)
