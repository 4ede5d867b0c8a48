"""Kept results: whole or measured again, and one for each model, part and setting."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from osft_eval import stage
from osft_eval.cache import Cache, own_code
from osft_eval.models import Models
from osft_eval.options import Options
from osft_eval.weights import Weights
from osft_workspace import Run, UserError, Workspace
from osft_workspace.shapes import NUMBER


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("eval", "r1", Workspace(tmp_path), tmp_path / "runs" / "r1" / "eval", {})


def cache_of(run: Run, **common: Any) -> Cache:
    return Cache(run, run.workspace.evals, {"model": "sha256:aa", "seed": 42, **common})


def test_a_result_comes_back_for_the_same_model_part_content_and_settings_only(run: Run) -> None:
    cache_of(run).put("capitals", "sha256:01", {"value": 0.5})
    assert cache_of(run).get("capitals", "sha256:01") == {"value": 0.5}
    assert cache_of(run).get("capitals", "sha256:02") is None
    assert cache_of(run).get("verbs", "sha256:01") is None
    assert cache_of(run, seed=43).get("capitals", "sha256:01") is None
    assert cache_of(run, model="sha256:bb").get("capitals", "sha256:01") is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": "other"}', "null"])
def test_a_torn_or_foreign_file_is_measured_again_and_reported(
    run: Run, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cache_of(run).put("capitals", "sha256:01", [1.5])
    (file,) = run.workspace.evals.iterdir()
    file.write_text(damage)
    assert cache_of(run).get("capitals", "sha256:01") is None
    assert "cached result is damaged or changed, measuring again part=capitals" in capsys.readouterr().out


@pytest.mark.parametrize(
    "result", [{"value": 0.5, "items": [{"score": 1.0}]}, ["yes", "\ud800"], [float("nan")]]
)
def test_a_changed_result_is_measured_again_and_reported(
    run: Run, result: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cache_of(run).put("capitals", "sha256:01", result)
    assert json.dumps(cache_of(run).get("capitals", "sha256:01")) == json.dumps(result)
    (file,) = run.workspace.evals.iterdir()
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "result": {"value": 0.9, "items": []}}))
    assert cache_of(run).get("capitals", "sha256:01") is None
    assert "cached result is damaged or changed, measuring again part=capitals" in capsys.readouterr().out


@pytest.mark.parametrize("result", [["0.5", 1.0], [1.0], {"value": 1.0}, 5, None])
def test_a_kept_result_of_another_shape_is_measured_again(
    run: Run, result: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cache_of(run).put("held-out loss", "sha256:01", result)
    assert cache_of(run).get("held-out loss", "sha256:01", [NUMBER], 2) is None
    assert "cached result is damaged or changed, measuring again" in capsys.readouterr().out


def test_a_pipe_in_place_of_a_kept_result_is_reported(run: Run) -> None:
    cache_of(run).put("capitals", "sha256:01", 1)
    (file,) = run.workspace.evals.iterdir()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UserError, match="is a pipe, expected a kept result of an evaluation"):
        cache_of(run).get("capitals", "sha256:01")


def test_a_result_kept_under_another_name_is_not_trusted(run: Run) -> None:
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


def test_the_key_holds_the_code_the_model_and_its_settings(run: Run, tmp_path: Path) -> None:
    """Each model under its own folder: the base for all runs, the tuned one for this run alone."""
    options = Options(model_args={"tuned": {"dtype": "float32"}})
    record = SimpleNamespace(details={"base": {"digest": "sha256:aa"}, "model": {"digest": "sha256:bb"}})
    models = Models(tmp_path, Weights(tmp_path), record, record.details["model"])  # type: ignore[arg-type]
    base, tuned = (
        stage.cache_of(run, options, models, {"osft_eval": "1"}, which) for which in ("base", "tuned")
    )
    assert base and tuned
    assert (base.folder, tuned.folder) == (run.workspace.evals, run.home / "work")
    assert (base.common["model"], tuned.common["model"]) == ("sha256:aa", "sha256:bb")
    assert (base.common["model_args"], tuned.common["model_args"]) == (
        {"hf": {}},
        {"hf": {"dtype": "float32"}},
    )
    assert base.common["engine"] == {"osft_eval": "1"}
    assert base.common["code"] == own_code()
