"""Small files that would fill memory or time: bounded, and named."""

import gzip
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stages.download.support import CHAT, Stage, download_python

MEGABYTE = 1 << 20
TABLES = """
import sys, pyarrow as a, pyarrow.parquet as p
long = "because the sea is deep " * 390_000
own, rows = sys.argv[2] == "yes", int(sys.argv[3])
p.write_table(a.table({"text": [long] * rows}), sys.argv[1], compression="zstd", use_dictionary=own)
"""


def table(path: Path, dictionary: str, rows: int) -> None:
    """Rows of 9 MB each in a few kilobytes."""
    subprocess.run([download_python(), "-c", TABLES, str(path), dictionary, str(rows)], check=True)


def packed(path: Path) -> None:
    """A line of half a gigabyte in half a megabyte."""
    with gzip.open(path, "wb") as file:
        file.write(b'{"x": "')
        for _ in range(512):
            file.write(b"a" * MEGABYTE)
        file.write(b'"}\n')


HELD: dict[str, tuple[Callable[[Path], object], str, int]] = {
    "deep.json": (lambda path: path.write_bytes(b"[" * 400_000 + b"]" * 400_000), "too-deep", 1),
    "many.json": (
        lambda path: path.write_bytes(b"[" + b",".join([b"[" * 20_000 + b"]" * 20_000] * 100) + b"]"),
        "too-deep",
        100,
    ),
    "deep.jsonl": (lambda path: path.write_bytes(b'{"a":' * 400_000 + b"}" * 400_000), "too-deep", 1),
    "line.jsonl.gz": (packed, "too-long", 1),
    "values.parquet": (lambda path: table(path, "yes", 8), "too-long", 8),
}  # fmt: skip


@pytest.mark.parametrize("name", list(HELD))
def test_a_small_file_that_holds_much_is_rejected_row_by_row(stage: Stage, name: str) -> None:
    stage.forks = False
    make, rule, number = HELD[name]
    make(stage.data / name)
    given = ("--uri", stage.file("good.jsonl", CHAT), "--on-invalid=drop", "--max-invalid=0")
    usual = stage.good(*given, run="usual").record["timings"]["peak_memory_bytes"]
    begun = time.monotonic()
    end = stage.good(*given, "--uri", str(stage.data / name))
    assert [entry["rule"] for entry in end.rows("rejected.jsonl")] == [rule] * number
    assert end.record["timings"]["peak_memory_bytes"] - usual < 160 * MEGABYTE
    assert time.monotonic() - begun < 60


def test_a_page_that_does_not_fit_into_memory_is_named(stage: Stage) -> None:
    table(stage.data / "page.parquet", "no", 128)
    sentence = stage.run("--uri", str(stage.data / "page.parquet")).failed(2)
    assert "page.parquet has a page of 1142 MiB, expected at most 64 MiB" in sentence


def test_the_pages_of_any_writer_are_found(stage: Stage) -> None:
    code = """
import itertools, random, sys, pyarrow as a, pyarrow.parquet as p
from osft_download.readers.pages import sizes
draw, path = random.Random(1), sys.argv[1]
turns = [[{"role": str(n), "content": None if n % 3 else "y" * 50}] * (n % 4) for n in range(3000)]
texts = ["x" * draw.randint(0, 3000) for _ in range(3000)]
columns = {"text": texts, "turns": turns, "nothing": a.nulls(3000)}
options = itertools.product(["none", "snappy", "zstd"], [True, False], ["1.0", "2.0"], [True, False])
for compression, dictionary, version, statistics in options:
    p.write_table(
        a.table(columns), path, compression=compression, use_dictionary=dictionary, row_group_size=1100,
        data_page_version=version, write_statistics=statistics, write_page_index=statistics,
        data_page_size=10_000,
    )
    groups = p.read_metadata(path)
    with open(path, "rb") as file:
        for column in [groups.row_group(g).column(c) for g in range(3) for c in range(groups.num_columns)]:
            found = list(sizes(file, column))
            # The column's own size counts the headers too.
            assert found and 0 <= column.total_uncompressed_size - sum(found) < 200 * len(found), column
"""
    subprocess.run([download_python(), "-c", code, str(stage.data / "a.parquet")], check=True)
