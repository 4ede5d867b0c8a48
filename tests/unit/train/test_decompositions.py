"""Where decompositions are kept, and when they are not."""

import os
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from osft_train import decompositions
from osft_train.options import Options
from tests.unit.train.support import some_run

BASE: Any = SimpleNamespace(facts={"digest": "sha256:" + "a" * 64})
SHAPES = [(1000, 500), (500, 2000)]
BYTES = 4 * 500 * (1501 + 2501)
Usage = namedtuple("Usage", "total used free")


def choose(tmp_path: Path, shapes: list[tuple[int, int]] = SHAPES, **options: Any) -> Path | None:
    return decompositions.choose(some_run(tmp_path), BASE, shapes, Options(**options))


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Let the workspace have so many free bytes."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))


def test_each_base_model_has_its_folder(tmp_path: Path) -> None:
    folder = choose(tmp_path)
    assert folder is not None and folder.is_dir()
    assert folder.parts[-3:] == ("cache", "osft", "a" * 64)


def test_none_are_kept_when_switched_off_or_when_nothing_is_decomposed(tmp_path: Path) -> None:
    assert choose(tmp_path, svd_cache=False) is None
    assert choose(tmp_path, []) is None


def test_none_are_kept_that_take_over_half_of_the_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_free(monkeypatch, 2 * BYTES - 1)
    assert choose(tmp_path) is None
    assert "chose svd_cache value=False" in capsys.readouterr().out


def test_what_is_kept_already_needs_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = choose(tmp_path)
    assert folder is not None
    (folder / "one.safetensors").write_bytes(bytes(BYTES // 2))
    with_free(monkeypatch, BYTES + 1)
    assert choose(tmp_path) == folder


def test_the_size_is_that_of_the_files(tmp_path: Path) -> None:
    assert decompositions.bytes_of(SHAPES, "None") == BYTES
    assert decompositions.bytes_of(SHAPES, "float64") == 2 * BYTES


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    folder = choose(tmp_path)
    assert folder is not None
    left, written = (folder / f".{name}.safetensors.0.tmp" for name in ("left", "written"))
    for path in (left, written):
        path.touch()
    os.utime(left, (1, 1))
    assert choose(tmp_path) == folder
    assert list(folder.iterdir()) == [written]
