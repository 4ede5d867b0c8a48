"""`--columns`: what it says must be able to hold for a row."""

import pytest
from click.testing import CliRunner

from osft_download.cli import main


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            '{"prompt": "instruction", "completion": "instruction"}',
            "prompt and completion are both the column 'instruction', expected one column for each.",
        ),
        ('{"messages": "", "tools": "t"}', "messages has an empty name, expected the name of a column"),
        ('{"prompt": " "}', "prompt has an empty name, expected the name of a column"),
    ],
)
def test_columns_that_no_row_can_have_are_a_usage_error(columns: str, sentence: str) -> None:
    end = CliRunner().invoke(main, ["--workspace", "/nowhere", "--run-id", "run-1", "--columns", columns])
    assert end.exit_code == 2
    assert sentence in end.output
