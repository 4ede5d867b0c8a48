"""Servers that misbehave: registry, hub, S3 and web servers that answer wrong, too much or never."""

import functools
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.table import RUN, Bench, Row, check
from tests.support.listings import (
    ROWS,
    bucket,
    file,
    page,
    registry,
    repository,
    siblings,
    text_of,
    thing,
)
from tests.support.registry import make_certificates
from tests.support.sandbox import SECRETS
from tests.support.scripted import Asked, Reply, Script, Scripted, drip, endless, of_json
from tests.support.stages import write_hollow_model
from tests.support.tuned_run import make_tuned_run

HTML = Reply(200, b"<!DOCTYPE html><html><body>Sign in</body></html>", {"Content-Type": "text/html"})
BOMB = gzip.compress(b"[" + b"0," * (200 << 20))
METADATA = "http://169.254.169.254/latest/meta-data"
FAST = "--timeout-seconds=1"
Where = Callable[[Bench, Scripted], list[str]]


def row(name: str, where: Where, script: Script | Reply, code: int, says: str, **more: object) -> Row:
    """Return a row whose command talks to a server that follows a script."""

    def arrange(bench: Bench) -> list[str]:
        answer = script if callable(script) else lambda asked: script
        return where(bench, bench.closing.enter_context(Scripted(answer)))

    return Row(name, arrange, code, says, **more)  # type: ignore[arg-type]


def to_registry(bench: Bench, server: Scripted, *words: str, address: str = "") -> list[str]:
    """Register a tuned run at the server."""
    make_tuned_run(bench.workspace, RUN)
    return bench.stage(
        "register", f"--address={address or server.url}", "--claim=ws", "--name=osft-model", FAST, *words
    )


def without_token(bench: Bench, server: Scripted) -> list[str]:
    """As `to_registry` without a token, at an address that must not be contacted."""
    bench.env["OSFT_REGISTRY_TOKEN"] = ""
    return to_registry(bench, server, address="http://169.254.169.254")


def download(bench: Bench, uri: str, *words: str, model: str = "") -> list[str]:
    """Download rows for a hollow model, or a model of the hub."""
    base = model or str(write_hollow_model(bench.base / "hollow"))
    return bench.stage("download", f"--uri={uri}", f"--model-uri={base}", FAST, *words)


def of_hub(bench: Bench) -> list[str]:
    """Download a model of the hub, which is asked before anything else is looked at."""
    return download(bench, str(bench.file("rows.jsonl", ROWS)), model="hf://org/rows")


def to_http(bench: Bench, server: Scripted) -> list[str]:
    return download(bench, f"{server.url}/rows.jsonl")


def to_s3(bench: Bench, server: Scripted, key: str = "rows.jsonl") -> list[str]:
    patient = "--timeout-seconds=20"  # its listings are long, and other tests run beside
    return download(bench, f"s3://chats/{key}", f"--s3-endpoint={server.url}", "--s3-region=eu-1", patient)


def to_hub(bench: Bench, server: Scripted) -> list[str]:
    bench.env["HF_ENDPOINT"] = server.url
    return of_hub(bench)


def created(answer: Reply) -> Script:
    """Return a registry that answers a POST with this."""
    return lambda asked: answer if asked.method == "POST" else registry(asked)


def pages(make: Callable[[int], Reply]) -> Script:
    """Return a registry whose list of models is made of these pages."""
    return lambda asked: make(asked.number) if asked.path.endswith("registered_models") else registry(asked)


REGISTRY = [
    row("registry answers HTML with 200", to_registry, HTML, 2, "not as a Model Registry.*not JSON.*DOCTYPE"),
    row("registry answers without end", to_registry, endless(), 2, "with more than 4 MB"),
    row(
        "registry answers a packed bomb",
        to_registry,
        Reply(200, BOMB, {"Content-Encoding": "gzip"}),
        2,
        "more than 4 MB",
    ),
    row("registry refuses without end", to_registry, Reply(500, b"x" * (50 << 20)), 75, "answered 500"),
    row("registry answers deep JSON", to_registry, Reply(200, b"[" * 10_000), 2, "more than 64 levels deep"),
    row(
        "registry answers millions of values",
        to_registry,
        Reply(200, b"[" + b"{}," * 1_000_000),
        2,
        "JSON values",
    ),
    row(
        "registry answers NaN",
        to_registry,
        Reply(200, b'{"items": [], "size": NaN}'),
        2,
        "NaN is not a JSON number",
    ),
    row(
        "registry answers an infinite number",
        to_registry,
        Reply(200, b'{"items": [], "size": 1e999}'),
        2,
        "too large",
    ),
    row(
        "registry answers half a surrogate pair",
        to_registry,
        pages(lambda n: page(thing("\ud800"))),
        2,
        "surrogate",
    ),
    row(
        "registry answers an unknown encoding",
        to_registry,
        Reply(200, b"x", {"Content-Encoding": "br"}),
        2,
        "packed as",
    ),
    row("registry lists no list", to_registry, of_json({"items": {"a": 1}}), 2, "items are not a list"),
    row(
        "registry lists things without a name",
        to_registry,
        pages(lambda n: page({"id": "1"})),
        2,
        "that has no name",
    ),
    row(
        "registry lists an id that climbs",
        to_registry,
        pages(lambda n: page(thing(number="../../1"))),
        2,
        "whose id is",
    ),
    row(
        "registry lists properties of a wrong shape",
        to_registry,
        pages(lambda n: page(thing(customProperties=[1]))),
        2,
        "customProperties",
    ),
    row(
        "registry repeats a page token",
        to_registry,
        pages(lambda n: page(token="same" if n > 1 else "")),
        2,
        "same page token twice.*no end",
    ),
    row(
        "registry lists pages without end",
        to_registry,
        pages(lambda n: page(token=str(n))),
        2,
        r"1,000 pages of 100 and does not end",
    ),
    row("registry sends a byte now and then", to_registry, drip(b"{"), 75, "did not answer in time"),
    row(
        "registry answers a POST with 204",
        to_registry,
        created(Reply(204)),
        2,
        r"asked POST registered_models, answered 204.*register\.address",
    ),
    row(
        "registry answers a POST with HTML",
        to_registry,
        created(HTML),
        2,
        "asked POST registered_models, answered 200.*not JSON",
    ),
    row(
        "registry refuses a POST with 405",
        to_registry,
        created(Reply(405)),
        2,
        "asked POST registered_models, answered 405",
    ),
    row(
        "registry asks for a minute of a year",
        to_registry,
        Reply(404, b"", {"Retry-After": "99999999"}),
        2,
        "not as a Model",
    ),
    row(
        "registry leads to a metadata address",
        to_registry,
        Reply(302, b"", {"Location": METADATA}),
        2,
        "link-local or cloud metadata",
    ),
    row(
        "registry cuts its answer",
        to_registry,
        Reply(200, b'{"items": [', length=500),
        75,
        "cannot be reached.*without sending",
    ),
    row(
        "registry at a metadata address",
        without_token,
        HTML,
        2,
        "link-local",
    ),
]


def token_to(address: str) -> Row:
    """Return a registry token that would go to an address in clear text."""

    def arrange(bench: Bench) -> list[str]:
        bench.env["OSFT_REGISTRY_TOKEN"] = SECRETS["OSFT_REGISTRY_TOKEN"]
        make_tuned_run(bench.workspace, RUN)
        return bench.stage("register", f"--address={address}", "--claim=ws", FAST)

    return Row(f"registry token to {address}", arrange, 2, "is not encrypted")


def hub_token(address: str) -> Row:
    """Return a hub token that would go to an address in clear text."""

    def arrange(bench: Bench) -> list[str]:
        bench.env["HF_ENDPOINT"] = address
        return of_hub(bench)

    return Row(f"hub token to {address}", arrange, 2, "HF_TOKEN is set and .* is a public address")


def session_token(address: str) -> Row:
    """Return an S3 session token that would go to an address in clear text."""

    def arrange(bench: Bench) -> list[str]:
        bench.env["AWS_SESSION_TOKEN"] = "session-0123456789"
        return download(bench, "s3://chats/rows.jsonl", f"--s3-endpoint={address}", "--s3-region=eu-1")

    return Row(f"S3 token to {address}", arrange, 2, "AWS_SESSION_TOKEN is set and .* is a public address")


def credential(name: str, value: str, says: str) -> Row:
    """Return a credential of hub or S3 that no header can carry."""

    def arrange(bench: Bench) -> list[str]:
        bench.env[name] = value
        return of_hub(bench) if name == "HF_TOKEN" else download(bench, "s3://chats/rows.jsonl")

    return Row(f"{name} with {says}", arrange, 2, f"{name} holds {says}, expected a single line")


def registry_token(value: str, says: str) -> Row:
    def arrange(bench: Bench) -> list[str]:
        bench.env["OSFT_REGISTRY_TOKEN"] = value
        make_tuned_run(bench.workspace, RUN)
        return bench.stage("register", "--address=http://127.0.0.1:9", "--claim=ws", FAST)

    return Row(f"registry token with {says}", arrange, 2, f"OSFT_REGISTRY_TOKEN holds {says}")


CREDENTIALS = [
    *map(token_to, ("http://134744072", "http://010.8.8.8", "http://a.b.svc.evil.com", "http://0x8080808")),
    hub_token("http://134744072"),
    hub_token("http://a.b.svc.evil.com"),
    session_token("http://134744072"),
    session_token("http://a.b.svc.evil.com:9000"),
    credential("HF_TOKEN", "hf_one\nhf_two", "a line break"),
    credential("AWS_SECRET_ACCESS_KEY", "key-0123456789\n", "a line break"),
    credential("AWS_ACCESS_KEY_ID", "schlüssel-0123", "a character that is not printable ASCII"),
    registry_token("token-one\r\ntoken-two", "a line break"),
]


def other_host(bench: Bench) -> list[str]:
    """Return a registry whose certificate was made for another address."""
    certificates = make_certificates(bench.base, "127.0.0.2")
    server = bench.closing.enter_context(Scripted(registry, certificates.server))
    return to_registry(bench, server, f"--ca-file={certificates.ca}")


def to_cleartext(bench: Bench) -> list[str]:
    """Return a web server with TLS that redirects to one without."""
    certificates = make_certificates(bench.base)
    plain = bench.closing.enter_context(Scripted(lambda asked: Reply(200, ROWS)))
    moved = Reply(302, b"", {"Location": f"{plain.url}/rows.jsonl"})
    server = bench.closing.enter_context(Scripted(lambda asked: moved, certificates.server))
    bench.env["SSL_CERT_FILE"] = str(certificates.ca)
    return to_http(bench, server)


HTTP = [
    Row("certificate for another host", other_host, 2, "certificate for another host.*Use the name"),
    Row("web server redirects from https to http", to_cleartext, 2, "redirects to http://.* not encrypted"),
    row(
        "web server redirects to a metadata address",
        to_http,
        Reply(302, b"", {"Location": METADATA}),
        2,
        "redirects to .*link-local",
    ),
    row(
        "web server redirects to it in numbers",
        to_http,
        Reply(302, b"", {"Location": "http://2852039166/"}),
        2,
        "link-local",
    ),
    row(
        "web server redirects to it by name",
        to_http,
        Reply(307, b"", {"Location": "http://metadata.google.internal/"}),
        2,
        "link-local",
    ),
    row(
        "web server redirects to no address",
        to_http,
        Reply(302, b"", {"Location": "http://["}),
        2,
        "not an address",
    ),
    row(
        "web server announces more than any disk",
        to_http,
        Reply(200, b"x", length=10**15),
        2,
        "announces 1,000,000,000 MB and the disk",
    ),
    row("web server drips", to_http, drip(ROWS), 75, "sends too slowly"),
    row(
        "web server answers a broken packing",
        to_http,
        Reply(200, BOMB[:5000], {"Content-Encoding": "gzip"}),
        2,
        "ends early",
    ),
]


def s3(
    name: str,
    listing: Reply | Script,
    code: int,
    says: str,
    body: Reply | None = None,
    key: str = "rows.jsonl",
) -> Row:
    """Return a row of an S3 server that lists and then gives."""

    def script(asked: Asked) -> Reply:
        if "list-type" in asked.query:
            return listing(asked) if callable(listing) else listing
        return body or Reply(200, ROWS)

    return row(name, functools.partial(to_s3, key=key), script, code, says)


WHOLE = bucket(("rows.jsonl", len(ROWS)))
S3 = [
    s3(
        "S3 object is shorter than listed",
        bucket(("rows.jsonl", len(ROWS) + 900)),
        75,
        "sent .* bytes of a file that is listed with",
    ),
    s3("S3 object is longer than listed", bucket(("rows.jsonl", 100)), 2, "listed with 100"),
    s3("S3 object breaks off", WHOLE, 75, "closed the connection", Reply(200, ROWS[:100], length=len(ROWS))),
    s3(
        "S3 lists pages without end",
        lambda asked: bucket(more=str(asked.number)),
        2,
        "on 300 pages and does not end",
        key="in",
    ),
    s3("S3 repeats a page token", bucket(more="same"), 2, "same next token", key="in"),
    s3("S3 lists without end", endless(b"<a>" * 20_000), 2, "more than 4 MB"),
    s3("S3 lists a million tags", Reply(200, b"<a>" + b"<b/>" * 500_000 + b"</a>"), 2, "XML tags"),
    s3(
        "S3 lists a size that is not a number",
        Reply(200, WHOLE.body.replace(b"<Size>", b"<Size>x")),
        2,
        "did not answer as an S3 server does",
    ),
    s3(
        "S3 redirects to another host",
        Reply(307, b"", {"Location": METADATA}),
        2,
        r"Check data\.uri, data\.s3",
    ),
    s3("S3 announces more than any disk", bucket(("rows.jsonl", 10**15)), 2, "the disk has"),
]


def hub(name: str, listing: Reply | Script, code: int, says: str, body: Reply | None = None) -> Row:
    """Return a row of a hub that lists a model and then gives its files."""

    def script(asked: Asked) -> Reply:
        if "/api/" in asked.path:
            return listing(asked) if callable(listing) else listing
        return body or file(b"{}")

    return row(name, to_hub, script, code, says)


MODEL = siblings(**{"config.json": 2, "model.safetensors": 9, "tokenizer.json": 2})
HUB = [
    hub("hub answers HTML with 200", HTML, 2, "not JSON.*check HF_ENDPOINT"),
    hub("hub lists without end", endless(), 2, "with more than 8 MB.*HF_ENDPOINT"),
    hub("hub answers deep JSON", Reply(200, b"[" * 10_000), 2, "64 levels deep"),
    hub("hub answers 204", Reply(204), 2, "answered 204 with text that is not JSON"),
    hub(
        "hub lists names that are numbers",
        repository([{"rfilename": 5, "size": 1}]),
        2,
        "without names and sizes",
    ),
    hub(
        "hub lists a size below zero",
        repository([{"rfilename": "a", "size": -1}]),
        2,
        "without names and sizes",
    ),
    hub("hub lists nothing that is a list", repository({"a": 1}), 2, "the answer is not valid"),
    hub("hub refuses with a list", Reply(400, text_of([1])), 2, "answered 400"),
    hub(
        "hub asks to wait for years",
        Reply(404, b"{}", {"X-Error-Code": "RepoNotFound", "Retry-After": "999999999"}),
        2,
        "there is no model",
    ),
    hub("hub redirects to a metadata address", Reply(302, b"", {"Location": METADATA}), 2, "link-local"),
    hub(
        "hub redirects to itself",
        lambda asked: Reply(302, b"", {"Location": asked.path}),
        2,
        "does not stop redirecting",
    ),
    hub(
        "hub file is shorter than listed",
        repository(MODEL),
        75,
        "sent 1 bytes of a file that is listed with 2",
        file(b"{"),
    ),
    hub(
        "hub file is longer than listed", repository(MODEL), 2, "more than 0 kB|listed with 2", file(b"{}   ")
    ),
    hub("hub file has no ETag", repository(MODEL), 2, "without ETag and commit", Reply(200, b"{}")),
]
ROWS_OF_TABLE = [*REGISTRY, *CREDENTIALS, *HTTP, *S3, *HUB]


@pytest.mark.parametrize("row", ROWS_OF_TABLE, ids=lambda row: row.name)
def test_servers(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
