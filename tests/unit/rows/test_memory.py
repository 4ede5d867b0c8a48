"""How many processes encode in a container of a given size."""

from pathlib import Path

import pytest

from osft_rows.memory import fitting, loading_memory

MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("limit", "least", "most"),
    [("100000000", 1, 1), (str(512 * MEBIBYTE), 1, 1), (str(4096 * MEBIBYTE), 4, 16), ("max", 1000, 1 << 40)],
)
def test_processes_fit_into_the_memory_limit_of_the_container(
    tmp_path: Path, limit: str, least: int, most: int
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "tokenizer.json").write_bytes(bytes(5 * MEBIBYTE))
    (tmp_path / "memory.max").write_text(limit + "\n")
    limits = (tmp_path / "missing", tmp_path / "memory.max")
    assert least <= fitting(model, limits) <= most


def test_loading_is_bounded_whatever_the_files_are(tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(900 * MEBIBYTE)
    assert loading_memory(tmp_path) == 512 * MEBIBYTE
