"""Secrets in file names, listings, bodies and headers of every server: none in any output of any stage."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.table import PLANTED, RUN, Bench, Row, check
from tests.hostile.test_servers import FAST, download
from tests.support.listings import ROWS, bucket, file, hub, page, registry, repository, siblings, thing
from tests.support.sandbox import SECRETS
from tests.support.scripted import Asked, Reply, Script, Scripted, of_json
from tests.support.tuned_run import make_tuned_run

SIGNED = f"https://user:{PLANTED}@cdn.example/rows.jsonl?X-Amz-Signature={PLANTED}&sig={PLANTED}"
OURS = " ".join(SECRETS.values())
NAMES = {
    "our hub token": f"{SECRETS['HF_TOKEN']}.jsonl",
    "our S3 key as a folder": f"{SECRETS['AWS_SECRET_ACCESS_KEY']}/rows.jsonl",
    "a signed address": f"rows.jsonl?sig={PLANTED}&.jsonl",
    "an address with a user": f"https:/u:{PLANTED}@h.example/rows.jsonl",
}
GOOD_OR_NOT = "Error: |done"
Where = Callable[[Bench, Scripted], list[str]]


def echo(asked: Asked) -> str:
    """Return all that a request brought, and what a server may know besides."""
    return json.dumps([asked.path, asked.query, asked.headers, SIGNED, OURS])


def to_http(bench: Bench, server: Scripted) -> list[str]:
    address = server.url.replace("http://", f"http://user:{PLANTED}@")
    return download(bench, f"{address}/rows.jsonl?sig={PLANTED}&X-Amz-Signature={PLANTED}#{PLANTED}")


def to_s3(bench: Bench, server: Scripted) -> list[str]:
    bench.env["AWS_SESSION_TOKEN"] = PLANTED
    return download(bench, "s3://chats/in", f"--s3-endpoint={server.url}", "--s3-region=eu-1")


def to_hub(bench: Bench, server: Scripted) -> list[str]:
    bench.env["HF_ENDPOINT"] = server.url
    return download(bench, "hf://org/rows")


def to_registry(bench: Bench, server: Scripted) -> list[str]:
    make_tuned_run(bench.workspace, RUN)
    return bench.stage("register", f"--address={server.url}", "--claim=ws", FAST)


def in_bucket(asked: Asked) -> Reply:
    """Return a bucket with rows below a prefix."""
    return bucket(("in/rows.jsonl", len(ROWS))) if "list-type" in asked.query else Reply(200, ROWS)


CLIENTS: dict[str, tuple[Where, Script]] = {
    "HTTP": (to_http, lambda asked: Reply(200, ROWS)),
    "S3": (to_s3, in_bucket),
    "hub": (to_hub, hub),
    "registry": (to_registry, registry),
}  # fmt: skip
HEADERS = (
    *("ETag", "Last-Modified", "X-Error-Message", "X-Error-Code", "WWW-Authenticate", "Location", "Server"),
    *("Retry-After", "X-Repo-Commit", "Content-Type", "Content-Encoding", "x-amz-bucket-region"),
)


def refusal(client: str, status: int) -> Script:
    """Return a server that refuses and repeats what it was sent, in the form that its client reads."""

    def script(asked: Asked) -> Reply:
        text = echo(asked)
        body = json.dumps({"message": text, "error": text, "code": text}).encode()
        if client == "S3":
            plain = text.replace("&", "&amp;").replace("<", "&lt;")
            body = f"<Error><Code>{plain[:300]}</Code><Message>{plain}</Message></Error>".encode()
        return Reply(status, body, {"X-Error-Message": text, "WWW-Authenticate": text})

    return script


def headed(client: str, status: int | None) -> Script:
    """Return a server whose headers repeat what it was sent; None: else it answers well."""

    def script(asked: Asked) -> Reply:
        good = CLIENTS[client][1](asked)
        answer = Reply(status, b"{}") if status else good
        text = echo(asked)
        spare = ("Location", "Content-Encoding", "X-Repo-Commit", "Retry-After") if status is None else ()
        answer.headers = {**good.headers, **{name: text for name in HEADERS if name not in spare}}
        return answer

    return script


def row(name: str, client: str, script: Script, code: int, says: str = "Error: ") -> Row:
    def arrange(bench: Bench) -> list[str]:
        return CLIENTS[client][0](bench, bench.closing.enter_context(Scripted(script)))

    return Row(f"{client}: {name}", arrange, code, says)


def moved(asked: Asked) -> Reply:
    return Reply(302, b"", {"Location": f"http://u:{PLANTED}@127.0.0.1:1/x?sig={PLANTED}"})


def local(what: str, name: str) -> Row:
    """Return a source whose name holds a secret, read and kept."""

    def arrange(bench: Bench) -> list[str]:
        path = bench.file(f"rows/{name}", ROWS + b'{"messages": 5}\n')
        return download(bench, str(bench.base / "data" / "rows"), "--on-invalid=drop") if path else []

    return Row(f"file named {what}", arrange, 0, "download done")


def refused(what: str, name: str) -> Row:
    """Return a source whose name holds a secret, with a row that ends the stage."""

    def arrange(bench: Bench) -> list[str]:
        return download(bench, str(bench.file(f"rows/{name}", b"{")))

    return Row(f"refused file named {what}", arrange, 2, "Error: ")


def s3_named(what: str, name: str) -> Row:
    key = f"in/{name}".replace("&", "&amp;")

    def script(asked: Asked) -> Reply:
        return bucket((key, len(ROWS))) if "list-type" in asked.query else Reply(200, ROWS)

    return row(f"key named {what}", "S3", script, 0, "download done")


def hub_named(what: str, name: str) -> Row:
    def script(asked: Asked) -> Reply:
        if "/resolve/" in asked.path:
            return file(ROWS) if asked.path.endswith(".jsonl") else hub(asked)
        if "/tree/" in asked.path:
            return of_json([{"type": "file", "path": name, "oid": "1", "size": len(ROWS)}])
        return repository(siblings(**{name: len(ROWS)}))

    code = 2 if "/" in name else 0  # below a folder that `datasets` does not look into
    return row(f"file named {what}", "hub", script, code, GOOD_OR_NOT)


def thing_named(name: str) -> Script:
    """Return a registry whose models, versions and artifacts are named like this."""

    def script(asked: Asked) -> Reply:
        if asked.method == "GET":
            return page(thing(name, description=name, customProperties={name: {"string_value": name}}))
        return of_json({"message": name}, 409)

    return script


STATUSES = {401: 2, 403: 2, 404: 2, 400: 2, 409: 2, 503: 75}
"""Status -> exit code."""
MOVED = {"HTTP": 75, "hub": 75, "S3": 2, "registry": 2}
"""Client -> exit code after a redirect to an address without a server."""
ROWS_OF_TABLE = [
    *(
        row(f"{status} repeats the request", client, refusal(client, status), code)
        for client in CLIENTS
        for status, code in STATUSES.items()
    ),
    *(row("headers of 403 repeat it", client, headed(client, 403), 2) for client in CLIENTS),
    *(
        row("headers of 302 repeat it", client, headed(client, 302), 75 if client == "S3" else 2)
        for client in CLIENTS
    ),
    *(
        row("headers of good answers repeat it", client, headed(client, None), code, GOOD_OR_NOT)
        for client, code in {"HTTP": 0, "S3": 2, "registry": 0}.items()
    ),
    *(row("a redirect with a password", client, moved, code) for client, code in MOVED.items()),
    *(local(what, name) for what, name in NAMES.items()),
    *(refused(what, name) for what, name in NAMES.items()),
    *(s3_named(what, name) for what, name in NAMES.items()),
    *(hub_named(what, name) for what, name in NAMES.items()),
    *(row(f"things named {what}", "registry", thing_named(name), 2) for what, name in NAMES.items()),
]


@pytest.mark.parametrize("row", ROWS_OF_TABLE, ids=lambda row: row.name)
def test_canaries(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
