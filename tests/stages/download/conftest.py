"""The servers that `osft-download` talks to, and a place to start it in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stages.download.support import CHAT, Stage
from tests.support.badhttp import BadHttp
from tests.support.hub import Hub
from tests.support.s3 import S3


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """One place for several starts that must fail."""
    return Stage(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.close()


@pytest.fixture(scope="module")
def bad() -> Iterator[BadHttp]:
    server = BadHttp()
    server.files["rows.jsonl"] = CHAT
    yield server
    server.close()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    base = tmp_path_factory.mktemp("s3")
    (base / "buckets" / "chats").mkdir(parents=True)
    (base / "scratch").mkdir()
    server = S3(base / "buckets", base / "scratch")
    yield server
    server.close()
