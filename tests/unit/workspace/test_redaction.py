"""Credentials never show, in whatever way an address was written, and hosts always do."""

import base64
import json
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from osft_workspace import redact_text, redact_url
from osft_workspace.redact import redact_value

# As a user may write it; as it may be shown.
ADDRESSES = [
    ("http://[::1]:9000/a.jsonl", "http://[::1]:9000/a.jsonl"),
    ("http://[::ffff:127.0.0.1]:9000/a.jsonl", "http://[::ffff:127.0.0.1]:9000/a.jsonl"),
    ("https://u:p@[fe80::1]:8443/x?sig=1", "https://[fe80::1]:8443/x"),
    ("https://u:p@[fe80::1%25eth0]:8443/x#f", "https://[fe80::1%25eth0]:8443/x"),
    ("http://[fe80::1%eth0]/x", "http://[fe80::1%eth0]/x"),
    ("http://[2001:db8::7]", "http://[2001:db8::7]"),
    ("https://u:p]w@[::1]:9/x", "https://[::1]:9/x"),
    ("https://user:pass@host:8443/a/b?X-Amz-Signature=abc#f", "https://host:8443/a/b"),
    ("https://token@host/a", "https://host/a"),
    ("https://host:8443/a@b", "https://host:8443/a@b"),
    ("https://host/a@b/c", "https://host/a@b/c"),
    ("https://u:p@ss@host.example/a", "https://host.example/a"),
    ("https://u:p/w@host/a", "https://host/a"),
    ("https://u:p?w@host/a?x=1", "https://host/a"),
    ("https://u:p#w@host/a", "https://host/a"),
    ("https://u:p/w?x#y@host.example:8443/a", "https://host.example:8443/a"),
    ("https://u:p@x/w@host.example/a", "https://host.example/a"),
    ("https://user:12345/w@host.example/a", "https://host.example/a"),
    ("https://u:p/w@host.example/a?mail=me@mail.example", "https://host.example/a"),
    ("https:/u:pw@host/a", "https:/host/a"),
    ("https:///u:pw@host/a", "https:///host/a"),
    ("s3://bucket/key?versionId=1", "s3://bucket/key"),
    ("s3://ID:se/cr/et@bucket/key", "s3://bucket/key"),
    ("S3://bucket/key", "s3://bucket/key"),
    ("user:pw@host/path", "host/path"),
    ("user:p/w?@host.example:80/path", "host.example:80/path"),
    ("user:pw@[::1]:80/path", "[::1]:80/path"),
    ("host:8080/path", "host:8080/path"),
    ("org/name?token=abcdef", "org/name"),
    ("org/name:config@main", "org/name:config@main"),
    ("hf://org/name@main", "hf://org/name@main"),
    ("hf://org/name:config@refs/convert/parquet", "hf://org/name:config@refs/convert/parquet"),
    ("hf://name:config@main", "hf://name:config@main"),
    ("hf://name@refs/pr/1", "hf://name@refs/pr/1"),
    ("hf://datasets/org/name@main/data/a.parquet", "hf://datasets/org/name@main/data/a.parquet"),
    ("hf://user:token@org/name", "hf://org/name"),
    ("hf://user:token@org/name@main", "hf://org/name@main"),
    ("hf://hf_abcdef@org/name", "hf://org/name"),
    ("hf://user:to/k?en@org/name", "hf://org/name"),
    ("hf://org/name?token=abc@def", "hf://org/name"),
    ("pvc://claim/a b.jsonl", "pvc://claim/a b.jsonl"),
    ("/data/train@v1.jsonl", "/data/train@v1.jsonl"),
    ("https://u:pw@", "https://<unreadable address>"),
    ("//u:pw@host/a", "//host/a"),
    ("me@corp.example:pw@host.example/a", "host.example/a"),
    ("https://u:pw@h/a,https://v:pw@i/b", "https://h/a,https://i/b"),
    ("https://h/a;jsessionid=pw1234", "https://h/a;jsessionid=..."),
    ("https://h/a%3Fsig%3Dpw1234", "https://h/a%3Fsig%3D..."),
    ("https%3A%2F%2Fu%3Apw%40h%2Fa%3Fsig%3D1", "https%3A%2F%2Fh%2Fa"),
    ("org/name#token=pw1234", "org/name"),
    ("http://[::1/rows.jsonl?sig=1", "http://[::1/rows.jsonl"),
]


@pytest.mark.parametrize(("url", "shown"), ADDRESSES)
def test_an_address_keeps_its_host_and_loses_its_credentials(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert redact_url(shown) == shown


@pytest.mark.parametrize(("url", "shown"), [pair for pair in ADDRESSES if " " not in pair[0]])
@pytest.mark.parametrize("around", ["seen '{}', expected another", "at {} (503)", "({}).", 'uri="{}"'])
def test_an_address_in_a_message_is_shown_as_alone(url: str, shown: str, around: str) -> None:
    text, expected = around.format(url), around.format(shown)
    bare = "://" not in url and ("?" in url or ":/" not in url)
    assert redact_text(text).lower() == expected.lower() or (bare and "pw" not in redact_text(text))


@pytest.mark.parametrize(
    "text",
    [
        "expected s3://<bucket>/<key> or 'https://'",
        "Expected hf://<org>/<dataset>, pvc://<claim>/<path> or hf://<org>/<name>@<revision>",
        "hf://org/name[:config][@revision]",
        "Expected hf://<org>/<name>[@revision]; the token goes into HF_TOKEN",
        "step 12/40 at 10:30:00, loss=1.5, rows#2; what? a:b c@d",
        "image registry.example.com:5000/a/b@sha256:0123456789abcdef",
        "git@github.com said: no",
        '["http://a/x","http://b/y"]',
    ],
)
def test_what_only_looks_like_credentials_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://u:a pw c@host.example/x now", "at https://host.example/x now"),
        ("at https://host:8443 I met me@x.example", "at https://host:8443 I met me@x.example"),
        ("x&sig=pw&y=1", "x&sig=...&y=1"),
        ("AccountName=a;AccountKey=pw==;b=1", "AccountName=a;AccountKey=...;b=1"),
        ("Authorization: Bearer 0123456789abcdefpw", "Authorization: Bearer ..."),
        ("token hf_0123456789abcdefpw is old", "token hf_... is old"),
        ("max_tokens=4096&tokenizer=x&pad_tokens=1", "max_tokens=4096&tokenizer=x&pad_tokens=1"),
    ],
)
def test_secrets_without_an_address_around_them_stay_out_of_messages(text: str, shown: str) -> None:
    assert redact_text(text) == shown


PASSWORD = st.text(
    st.characters(codec="ascii", categories=("L", "N", "P", "S"), exclude_characters="[]"),
    min_size=8,
    max_size=24,
)
HOSTS = [
    "host.example",
    "host.example:8443",
    "10.0.0.7",
    "[2001:db8::1]",
    "[fe80::1%25eth0]:8443",
    "localhost",
]


@settings(derandomize=True)
@given(PASSWORD, st.sampled_from(HOSTS), st.sampled_from(["https://", "http:/", "s3://", ""]))
def test_no_password_shows_and_every_host_does(password: str, host: str, scheme: str) -> None:
    assume("@" not in password and "://" not in password)
    assume(scheme or "/" not in password[:1])  # without a scheme that is a path
    url = f"{scheme}user:{password}@{host}/rows.jsonl"
    for shown in (redact_url(url), redact_text(f"from {url} now"), redact_value({"uri": [url]})["uri"][0]):
        assert password not in shown
        assert f"{host}/rows.jsonl" in shown


@given(st.text(max_size=300))
def test_redaction_takes_any_text_and_is_stable(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once
    redact_url(text)
    redact_value([text, {text: text}])


@pytest.mark.parametrize(
    "unit", ["a://b'", "x://a'@b", "a:", "@", "a:b@", "a:@!", "http://", "?a=b", "x" * 50 + ":/", "[::1]@"]
)
def test_long_texts_of_marks_take_no_long_time(unit: str) -> None:
    redact_text(unit * (20_000 // len(unit)))


@pytest.mark.parametrize("secret", ["it's_PW", 'a"PW', "a)PW", "a<P>W", "a PW"])
@pytest.mark.parametrize("place", ["http://u:{}@h/x", "https://h/x?sig={}", "s3://h/x#{}"])
def test_a_value_that_is_an_address_is_one_to_its_end(secret: str, place: str) -> None:
    url = place.format(secret)
    assert redact_value({"uri": [url, f" {url}"]}) == {"uri": [f"{url.partition('://')[0]}://h/x"] * 2}


@pytest.mark.parametrize("secret", ["it's_PW", 'a"PW', "a)PW", "a<P>W"])
def test_a_secret_with_quotes_or_brackets_stays_out_of_messages(secret: str) -> None:
    text = f"no 'http://u:{secret}@h/x', but (https://h/x?sig={secret}) or \"http://h/x?a={secret}\"."
    assert redact_text(text) == "no 'http://h/x', but (https://h/x) or \"http://h/x\"."


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment in which no variable but those of the test holds a secret."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    yield monkeypatch


SECRET_NAMES = (
    "HF_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN OSFT_REGISTRY_TOKEN OPENAI_API_KEY "
    "WANDB_API_KEY MLFLOW_TRACKING_PASSWORD GITHUB_TOKEN MYSQL_PWD DB_PASSWORD db_passwd AZURE_STORAGE_KEY "
    "SMTP_PASS TEAM_CREDENTIALS apiKey X_APIKEY SIGNING_KEY AZURE_STORAGE_CONNECTION_STRING GITLAB_PAT "
    "CLIENT_SECRET"
).split()


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_variable_whose_name_says_secret_is_shown_by_its_name(
    bare_environment: pytest.MonkeyPatch, name: str
) -> None:
    bare_environment.setenv(name, "canary-5f0c1e")
    assert redact_text("401 for canary-5f0c1e now") == f"401 for <{name}> now"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "parallel"),
        ("OSFT_TRAIN_MAX_TOKENS_PER_GPU", "1000000"),
        ("HF_TOKEN_PATH", "canary-5f0c1e"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "canary-5f0c1e"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/passwd"),
        ("TOKEN_SERVICE_SERVICE_HOST", "10.0.0.200"),
        ("TOKEN_SERVICE_PORT_80_TCP", "tcp://10.0.0.200:80"),
        ("HOSTNAME", "canary-5f0c1e"),
        ("OLDPWD", "/workspace"),
        ("HF_TOKEN", "short"),
    ],
)
def test_a_variable_that_holds_no_secret_changes_nothing(
    bare_environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    bare_environment.setenv(name, value)
    assert redact_text(f"seen {value} there") == f"seen {value} there"


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=8, max_size=30))
def test_no_form_of_a_secret_shows(secret: str) -> None:
    assume(len(secret.strip()) >= 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB_PASSWORD", secret)
        forms = [
            secret, secret.strip(), quote(secret, safe=""), quote(secret), quote_plus(secret),
            re.sub("%..", lambda code: code.group().lower(), quote(secret, safe="")),
            json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1],
            secret.encode().hex(),
        ]  # fmt: skip
        for form in forms:
            assert form not in redact_text(f"seen {form} there")
        for user in ("", "u:", "me:", "you:"):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                coded = encode(f"{user}{secret}".encode()).decode()
                assert "<DB_PASSWORD>" in redact_text(f"Basic {coded}")


def test_each_line_of_a_secret_of_several_lines_is_hidden(bare_environment: pytest.MonkeyPatch) -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----"
    bare_environment.setenv("TLS_PRIVATE_KEY", key)
    assert redact_text("seen kqhkiG9w0BAQEF in it") == "seen <TLS_PRIVATE_KEY> in it"
    assert redact_text(f"seen {key!r}") == "seen '<TLS_PRIVATE_KEY>'"


def test_keys_and_halves_of_surrogate_pairs_in_a_value_can_be_kept(
    bare_environment: pytest.MonkeyPatch,
) -> None:
    bare_environment.setenv("HF_TOKEN", "hf_verysecret")
    kept = redact_value({"hf_verysecret": ["a\ud800b", 1, None], 2: "x"})
    assert kept == {"<HF_TOKEN>": ["a\\ud800b", 1, None], 2: "x"}
