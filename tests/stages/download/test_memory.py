"""Memory does not grow with the data."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stages.download.support import Stage, chat

MEGABYTE = 1 << 20
SMALL_ROWS, LARGE_ROWS = 6_000, 30_000
"""The first fill what encoding keeps, such as the words that the tokenizer has seen."""


def write(path: Path, count: int) -> str:
    """`count` rows of some 500 bytes as JSON lines, a JSON array or CSV."""
    answer = "Because the sea is deep and the night is long. " * 8
    row = f'Why %d?,"{answer}"\n' if path.suffix == ".csv" else json.dumps(chat("Why %d?", answer)) + "\n"
    with path.open("w") as file:
        file.write({".json": "[", ".csv": "prompt,completion\n"}.get(path.suffix, ""))
        for number in range(count):
            file.write(row % number)
            if path.suffix == ".json" and number < count - 1:
                file.write(",")
        file.write({".json": "]"}.get(path.suffix, ""))
    return str(path)


@pytest.fixture
def one_processor() -> Iterator[None]:
    """One processor, so that many rows are encoded by as many processes as one row."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_processor")
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_five_times_the_rows_need_hardly_more_memory(stage: Stage, suffix: str) -> None:
    stage.forks = False
    small = stage.good("--uri", write(stage.data / f"small{suffix}", SMALL_ROWS), run="small").record
    large = stage.good("--uri", write(stage.data / f"large{suffix}", LARGE_ROWS), run="large").record
    assert large["details"]["rows"]["read"] == LARGE_ROWS
    assert large["details"]["sources"][0]["files"][0]["bytes"] > 10 * MEGABYTE
    grown = large["timings"]["peak_memory_bytes"] - small["timings"]["peak_memory_bytes"]
    assert grown < 16 * MEGABYTE, f"{grown / MEGABYTE:.1f} MiB more"
