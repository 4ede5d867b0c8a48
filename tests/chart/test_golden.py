"""A change of the templates shows in the golden renderings, and those can be read."""

from pathlib import Path

import pytest

from tests.chart.golden import FOLDER, golden
from tests.chart.rendering import EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_renders_as_its_golden_file_says(path: Path) -> None:
    assert golden(path) == (FOLDER / path.name).read_text(), (
        "look at the difference, then run scripts/generate"
    )


def test_golden_files_are_there_for_examples_only_and_short() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {path.name for path in EXAMPLES}
    for path in FOLDER.iterdir():
        assert len(path.read_text().splitlines()) < 400
