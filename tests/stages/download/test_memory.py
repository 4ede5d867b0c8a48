"""Memory does not grow with the data."""

import json
from pathlib import Path

import pytest

from tests.stages.download.support import Stage, chat

MEGABYTE = 1 << 20
LARGE_ROWS = 60_000


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


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_sixty_thousand_rows_need_hardly_more_memory_than_one(stage: Stage, suffix: str) -> None:
    small = stage.good("--uri", write(stage.data / f"small{suffix}", 1), run="small").record
    large = stage.good("--uri", write(stage.data / f"large{suffix}", LARGE_ROWS), run="large").record
    assert large["details"]["rows"]["read"] == LARGE_ROWS
    assert large["details"]["sources"][0]["files"][0]["bytes"] > 20 * MEGABYTE
    grown = large["timings"]["peak_memory_bytes"] - small["timings"]["peak_memory_bytes"]
    assert grown < 12 * MEGABYTE, f"{grown / MEGABYTE:.1f} MiB more"
