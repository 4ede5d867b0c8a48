"""Credentials when a server leads to another one: what the second server received, header by header."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.table import PLANTED, Bench, Row, check
from tests.hostile.test_servers import download, to_registry
from tests.hostile.test_time import to_hub, to_s3
from tests.support.listings import ROWS, file, hub, page, registry
from tests.support.sandbox import SECRETS
from tests.support.scripted import Asked, Reply, Script, Scripted, of_json
from tests.support.trusted import AwsHosts

Where = Callable[[Bench, Scripted], list[str]]
WITH_USER = f"user:{PLANTED}"


def to_http(bench: Bench, server: Scripted) -> list[str]:
    address = server.url.replace("http://", f"http://{WITH_USER}@")
    return download(bench, f"{address}/rows.jsonl?token={PLANTED}")


def moved(status: int, path: str, well: Script) -> Callable[[str], Script]:
    """Return a server that leads requests for a path to another one, and else answers well."""

    def script_for(other: str) -> Script:
        return lambda asked: (
            Reply(status, b"", {"Location": f"{other}/cdn/rows.jsonl"}) if path in asked.path else well(asked)
        )

    return script_for


def cdn(other: str) -> Script:
    """Return a hub that says what its file is, and leads to another host for its bytes."""

    def script(asked: Asked) -> Reply:
        if asked.path.endswith("/rows.jsonl") and "/resolve/" in asked.path:
            head = {"X-Linked-ETag": '"e1"', "X-Linked-Size": str(len(ROWS)), "X-Repo-Commit": "a" * 40}
            return Reply(302, b"", {**head, "Location": f"{other}/cdn/rows.jsonl"})
        return hub(asked)

    return script


def linked(other: str) -> Script:
    """Return a hub whose listing continues at another host."""

    def script(asked: Asked) -> Reply:
        answer = hub(asked)
        if "/tree/" in asked.path:
            answer.headers["Link"] = f'<{other}/api/datasets/org/rows/tree/next?cursor=1>; rel="next"'
        return answer

    return script


def linked_registry(other: str) -> Script:
    """Return a registry whose pages and answers name another host."""

    def script(asked: Asked) -> Reply:
        if asked.method == "GET" and asked.path.endswith("registered_models"):
            answer = page()
            answer.headers["Link"] = f'<{other}/next>; rel="next"'
            return answer
        return registry(asked)

    return script


def second(asked: Asked) -> Reply:
    """Return what the second server answers to whatever comes."""
    return of_json([]) if "/tree/" in asked.path else file(ROWS)


LEADS: dict[str, tuple[Where, Callable[[str], Script], bool, int]] = {
    "hub: Link: rel=next": (to_hub, linked, True, 0),
    "hub: a file on a CDN": (to_hub, cdn, True, 0),
    "hub: an API that moved": (to_hub, moved(307, "/api/", hub), True, 2),
    "HTTP: 302": (to_http, moved(302, "/rows.jsonl", hub), True, 0),
    "HTTP: 308": (to_http, moved(308, "/rows.jsonl", hub), True, 0),
    "S3: 301": (to_s3, moved(301, "/", hub), False, 2),
    "S3: 307": (to_s3, moved(307, "/", hub), False, 2),
    "registry: 302": (to_registry, moved(302, "/", registry), False, 2),
    "registry: 308": (to_registry, moved(308, "/", registry), False, 2),
    "registry: Link: rel=next": (to_registry, linked_registry, False, 0),
}
"""Case -> the command, the first server's script, whether the second is asked, and the exit code."""


@pytest.mark.parametrize("case", list(LEADS))
def test_no_credential_follows_to_another_server(case: str, tmp_path: Path) -> None:
    where, script_for, is_asked, code = LEADS[case]
    with Scripted(second) as other, Scripted(script_for(other.url)) as first:

        def arrange(bench: Bench) -> list[str]:
            bench.env["AWS_SESSION_TOKEN"] = "session-canary-0123456789"
            return where(bench, first)

        check(Row(case, arrange, code, "done|registered" if code == 0 else "Error: "), tmp_path)
        received = json.dumps([[asked.path, asked.query, asked.headers] for asked in other.asked])
        assert bool(other.asked) == is_asked, received
        assert first.asked
    secrets = [*SECRETS.values(), PLANTED, "session-canary-0123456789", "authorization", "x-amz-", "cookie"]
    assert not [secret for secret in secrets if secret in received.lower() or secret in received], received


def test_the_record_names_the_host_of_another_region(tmp_path: Path) -> None:
    with AwsHosts(tmp_path, "chats", "us-west-2") as aws:

        def arrange(bench: Bench) -> list[str]:
            bench.env |= aws.env()
            return download(bench, "s3://chats/rows.jsonl", "--s3-region=us-east-1")

        check(Row("S3 in another region", arrange, 0, "download done"), tmp_path)
    record = json.loads((tmp_path / "workspace/runs/run-1/download/record.json").read_text())
    host = "https://chats.s3.us-west-2.amazonaws.com"
    assert record["details"]["sources"][0]["loaded_from"] == f"{host}/rows.jsonl"
