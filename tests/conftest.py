"""How the tests share a machine's cores: a folder's tests stay together, the longest folders start first."""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "stages/train",
    "stages",
    "stages/download",
    "stages/eval",
    "hostile",
    "client/local",
    "chart",
)
APART = ("tests/e2e", "tests/hostile")
"""Folders whose tests share nothing that takes long to make: each goes to the process that is free."""


class ByFolder(LoadScopeScheduling):
    """Tests of a folder share fixtures that take long to make, so one process runs them all."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.partition("::")[0].rpartition("/")[0]
        return nodeid if folder in APART else folder


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFolder:
    """Hand out folders, in the order in which they come."""
    return ByFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders that take longest first: what comes last must not leave a core idle."""
    rank = {folder: number for number, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent.relative_to(TESTS).as_posix(), len(rank)))
