"""Two inputs are the same when the same thing was asked for, whatever is shown of them."""

from pathlib import Path
from typing import Any

import pytest

from osft_workspace import Outcome, Record, Run, UserError, digest_json, run_stage
from osft_workspace.asked import asked_query, asked_value
from osft_workspace.redact import redact_value
from tests.support.nesting import nested

SIGNED = [
    "X-Amz-Algorithm=AWS4&X-Amz-Date=1&X-Amz-Credential=c&X-Amz-Signature=s&x-amz-security-token=t",
    "AWSAccessKeyId=a&Signature=s&Expires=1",
    "GoogleAccessId=a&Signature=s&Expires=1",
    "sv=2022-11-02&st=a&se=b&sr=b&sp=r&sig=s&skoid=k",
    "Policy=p&Key-Pair-Id=k&Signature=s",
    "access_token=t&api_key=k&password=p&subscription-key=k&SharedAccessSignature=s",
]


@pytest.mark.parametrize("signed", SIGNED)
def test_what_signs_a_link_does_not_say_what_it_names(signed: str) -> None:
    assert asked_query(signed) == []
    assert asked_query(f"file=a&{signed}&page=2&empty=") == [("file", "a"), ("page", "2"), ("empty", "")]


def test_short_names_sign_only_beside_azures_signature() -> None:
    assert asked_query("sp=2&st=train") == [("sp", "2"), ("st", "train")]


SAME = [
    ("https://u:p@host/a?file=1&sig=x", "https://host/a?file=1&sig=y"),
    ("https://u:p/w@host/a", "https://v:q#w@host/a"),
    ("https://host/a#part", "https://host/a"),
    ("HTTPS://host/a", "https://host/a"),
    (" https://host/a ", "https://host/a"),
    ("https://u:p@[fe80::1]:8443/x?sig=1", "https://[fe80::1]:8443/x?sig=2"),
    ("hf://user:token@org/name", "hf://org/name"),
    ("s3://ID:key@bucket/a", "s3://bucket/a"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_other_credentials_are_the_same_input(one: str, other: str) -> None:
    assert asked_value({"uri": [one]}) == asked_value({"uri": [other]})


DIFFERENT = [
    ("http://[::1]:9000/a", "http://[::ffff:127.0.0.1]:9000/a"),
    ("http://[fe80::1%25eth0]/a", "http://[fe80::1%25eth1]/a"),
    ("https://host/a?file=1&sig=x", "https://host/a?file=2&sig=x"),
    ("https://host/a?file=1", "https://host/a"),
    ("https://u:p@host.example/a", "https://u:p@host.test/a"),
    ("s3://bucket/a?b", "s3://bucket/a?c"),
    ("s3://bucket/a?b", "s3://bucket/a"),
    ("s3://bucket/a#b", "s3://bucket/a"),
    ("pvc://claim/a?b", "pvc://claim/a?c"),
    ("/data/a?b=1", "/data/a?b=2"),
    ("hf://org/name@v1", "hf://org/name@v2"),
    ("a system prompt: mail a:b@c.example", "a system prompt: mail x:y@c.example"),
    ("see https://wiki/a?page=1", "see https://wiki/a?page=2"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_another_place_is_another_input(one: str, other: str) -> None:
    assert asked_value([one]) != asked_value([other])


def test_inputs_without_credentials_have_the_digest_that_older_records_hold() -> None:
    inputs = {"uri": ["hf://org/name:config@main", "s3://bucket/a.jsonl", "/data/a.jsonl"], "seed": 42}
    assert digest_json(asked_value(inputs)) == digest_json(redact_value(inputs))


def test_no_secret_of_the_environment_is_in_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    assert asked_value({"note": "with hf_verysecret"}) == {"note": "with <HF_TOKEN>"}


def start(workspace: Path, **inputs: Any) -> Record:
    def body(run: Run) -> Outcome:
        return Outcome(outputs=[])

    return run_stage("download", workspace, "r", inputs=inputs, needs=(), body=body)


@pytest.mark.parametrize(
    ("one", "other"), [pair for pair in DIFFERENT if redact_value(pair[0]) == redact_value(pair[1])]
)
def test_inputs_that_look_alike_work_again_and_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one: str, other: str
) -> None:
    start(tmp_path, uri=one, seed=1)
    start(tmp_path, uri=other, seed=1)
    assert "inputs changed, running again changed=uri\n" in capsys.readouterr().out
    start(tmp_path, uri=other, seed=1)
    assert "already done" in capsys.readouterr().out


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_renewed_signature_is_already_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one: str, other: str
) -> None:
    start(tmp_path, uri=one)
    capsys.readouterr()
    start(tmp_path, uri=other)
    assert "already done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("/data/a\udcff.jsonl", r"the input uri holds '/data/a\\xff\.jsonl', which is not UTF-8"),
        (["half \ud800 pair"], "the input uri holds .* which is not UTF-8"),
        (nested(100_000), "the input uri is nested too deep"),
    ],
)
def test_an_input_that_no_record_can_hold_is_reported(tmp_path: Path, value: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        start(tmp_path, uri=value)
