"""Kept base results: whole or measured again, and one for each base, part and setting."""

import json
from pathlib import Path
from typing import Any

import pytest

from osft_eval.cache import BaseCache
from osft_workspace import Run, Workspace


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("eval", "r1", Workspace(tmp_path), tmp_path / "runs" / "r1" / "eval", {})


def cache_of(run: Run, **common: Any) -> BaseCache:
    return BaseCache(run, {"base": "sha256:aa", "seed": 42, **common})


def test_a_result_comes_back_for_the_same_base_part_content_and_settings_only(run: Run) -> None:
    cache_of(run).put("capitals", "sha256:01", {"value": 0.5})
    assert cache_of(run).get("capitals", "sha256:01") == {"value": 0.5}
    assert cache_of(run).get("capitals", "sha256:02") is None
    assert cache_of(run).get("verbs", "sha256:01") is None
    assert cache_of(run, seed=43).get("capitals", "sha256:01") is None
    assert cache_of(run, base="sha256:bb").get("capitals", "sha256:01") is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": "other"}', "null"])
def test_a_torn_or_foreign_file_is_measured_again_and_said(
    run: Run, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cache_of(run).put("capitals", "sha256:01", [1.5])
    (file,) = run.workspace.evals.iterdir()
    file.write_text(damage)
    assert cache_of(run).get("capitals", "sha256:01") is None
    assert "kept base result is damaged, measuring again part=capitals" in capsys.readouterr().out


def test_a_result_kept_under_another_name_is_not_believed(run: Run) -> None:
    cache_of(run).put("capitals", "sha256:01", [1.5])
    cache_of(run).put("capitals", "sha256:02", [2.5])
    one, two = sorted(run.workspace.evals.iterdir())
    one.write_bytes(two.read_bytes())
    found = [cache_of(run).get("capitals", content) for content in ("sha256:01", "sha256:02")]
    assert None in found


def test_no_temporary_file_stays(run: Run) -> None:
    for value in (1, 2):
        cache_of(run).put("capitals", "sha256:01", value)
    (file,) = run.workspace.evals.iterdir()
    assert json.loads(file.read_text())["result"] == 2
