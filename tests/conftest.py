"""How the tests share a machine's cores: a folder's tests stay together, the longest folders start first."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST_FIRST = ("stages/train", "stages", "stages/eval", "stages/local", "chart", "stages/download")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a folder share fixtures that take long to make, so one process runs them all."""
    folders = {item: item.path.parent.relative_to(TESTS).as_posix() for item in items}
    for item, folder in folders.items():
        item.add_marker(pytest.mark.xdist_group(folder))
    rank = {folder: number for number, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(folders[item], len(rank)))
