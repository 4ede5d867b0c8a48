"""Servers that answer now and then, one page or one byte at a time: every listing and every call ends."""

from pathlib import Path

import pytest

from tests.hostile.table import Bench, Row, check
from tests.hostile.test_servers import download, row, to_registry
from tests.support.listings import ROWS, bucket, hub, page, registry
from tests.support.scripted import Asked, Reply, Script, Scripted, of_json

PAUSE = 0.5  # seconds before each page, less than the longest silence
LETTER = 0.2  # seconds between two bytes


def to_hub(bench: Bench, server: Scripted) -> list[str]:
    bench.env["HF_ENDPOINT"] = server.url
    return download(bench, "hf://org/rows")


def to_s3(bench: Bench, server: Scripted) -> list[str]:
    return download(bench, "s3://chats/in", f"--s3-endpoint={server.url}", "--s3-region=eu-1")


def to_http(bench: Bench, server: Scripted) -> list[str]:
    return download(bench, f"{server.url}/rows.jsonl")


def registry_pages(asked: Asked) -> Reply:
    if not asked.path.endswith("registered_models"):
        return registry(asked)
    answer = page(token=str(asked.number) if "pageSize=100" in asked.query else "")
    answer.pause = PAUSE
    return answer


def s3_pages(asked: Asked) -> Reply:
    answer = bucket(("in/rows.jsonl", len(ROWS)), more=str(asked.number))
    answer.pause = PAUSE
    return answer


def hub_pages(asked: Asked) -> Reply:
    if "/tree/" not in asked.path:
        return hub(asked)
    entry = {"type": "file", "path": f"{asked.number}.jsonl", "oid": "1", "size": len(ROWS)}
    link = f'<http://{asked.headers["host"]}{asked.path}?cursor={asked.number}>; rel="next"'
    answer = of_json([entry], Link=link)
    answer.pause = PAUSE
    return answer


def slow(path: str) -> Script:
    """Return a hub that sends the headers of its answers to a path letter by letter."""

    def script(asked: Asked) -> Reply:
        answer = hub(asked)
        answer.letters = LETTER if path in asked.path else 0.0
        return answer

    return script


def letters(asked: Asked) -> Reply:
    return Reply(200, ROWS, {"X": "x" * 10_000}, letters=LETTER)


ROWS_OF_TABLE = [
    row("registry lists a page now and then", to_registry, registry_pages, 75, r"too slowly: \d+ pages"),
    row("S3 lists a page now and then", to_s3, s3_pages, 75, "sends too slowly"),
    row("hub lists a page now and then", to_hub, hub_pages, 75, "sends too slowly"),
    row("registry sends headers letter by letter", to_registry, letters, 75, "did not answer in time"),
    row("S3 sends headers letter by letter", to_s3, letters, 75, "sends too slowly"),
    row("web server sends headers letter by letter", to_http, letters, 75, "sends too slowly"),
    *(
        row(f"hub sends headers of {path} letter by letter", to_hub, slow(path), 75, "sends too slowly")
        for path in ("/api/", "/tree/", "/resolve/")
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS_OF_TABLE, ids=lambda row: row.name)
def test_time(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
