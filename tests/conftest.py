"""How the tests share a machine's cores: what shares fixtures stays together, the longest starts first."""

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

# helm runs a thousand times, each for a third of a second: collecting its garbage would be a seventh of that.
os.environ.setdefault("GOGC", "400")

TESTS = Path(__file__).parent
LONGEST_FIRST = ("stages/train", "stages", "stages/eval", "chart", "stages/download", "client/local")
APART = ("tests/e2e", "tests/hostile")
"""Folders whose tests share nothing that takes long to make: each test goes to the process that is free."""
BY_MODULE = ("tests/stages/train", "tests/stages/eval", "tests/stages/download")
"""Folders that take minutes, whose modules go to different processes..."""
SHARING = ("test_interrupted.py", "test_result.py", "test_figures.py", "test_judging.py", "test_page.py")
"""...except modules that look at one training or one evaluation of their folder's conftest."""


class ByFolder(LoadScopeScheduling):
    """Tests of a folder share fixtures that take long to make, so one process runs them all."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder, _, module = path.rpartition("/")
        if folder in APART:
            return nodeid
        return path if folder in BY_MODULE and module not in SHARING else folder


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFolder:
    """Hand out folders, modules and tests, in the order in which they come."""
    return ByFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first and single tests last: no core must be idle at the end."""
    rank = {folder: number for number, folder in enumerate((*LONGEST_FIRST, "", "hostile"))}
    items.sort(key=lambda item: rank.get(item.path.parent.relative_to(TESTS).as_posix(), rank[""]))
