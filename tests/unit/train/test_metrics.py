"""The training log that people and later stages read."""

import json
from pathlib import Path
from typing import Any

import pytest

from osft_train import metrics
from osft_workspace import UserError


def line(step: int, loss: float, **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": 0,
        "loss": loss,
        "lr": 1e-5,
        "num_total_tokens": 100.0,
        "time_per_batch": 2.0,
        "tokens_per_second": 50.0,
        "val_loss": None,
        **more,
    }


def write_raw(folder: Path, *lines: dict[str, Any]) -> None:
    text = "".join(json.dumps(entry) + "\n" for entry in lines)
    (folder / "training_metrics_0.jsonl").write_text(text)


def test_a_step_trained_again_after_a_kill_counts_once_as_last_trained(tmp_path: Path) -> None:
    write_raw(tmp_path, line(1, 5), line(2, 4), line(3, 9), line(2, 4.5), line(3, 3))
    steps = metrics.read_steps(tmp_path, 0)
    assert [(step["step"], step["loss"]) for step in steps] == [(1, 5), (2, 4.5), (3, 3)]


def test_a_line_in_writing_is_not_read(tmp_path: Path) -> None:
    write_raw(tmp_path, line(1, 5))
    with (tmp_path / "training_metrics_0.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert len(metrics.read_steps(tmp_path, 0)) == 1


def test_the_final_loss_is_the_last_and_not_the_least(tmp_path: Path) -> None:
    write_raw(tmp_path, line(1, 5), line(2, 2), line(3, 3))
    told = metrics.summary(metrics.read_steps(tmp_path, 0))
    assert (told["final_loss"], told["min_loss"], told["steps"]) == (3, 2, 3)
    assert (told["tokens"], told["training_seconds"], told["tokens_per_second"]) == (300, 6.0, 50.0)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_a_number_is_reported_with_its_step(tmp_path: Path, loss: float) -> None:
    write_raw(tmp_path, line(1, 5), line(2, loss))
    with pytest.raises(UserError, match="the loss of step 2 is not a number"):
        metrics.check_finite(metrics.read_steps(tmp_path, 0))


def test_the_clean_log_leaves_out_what_is_unknown(tmp_path: Path) -> None:
    metrics.write_clean([line(1, 5), line(2, 4, val_loss=4.5)], tmp_path / "metrics.jsonl")
    first, second = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert "validation_loss" not in first and second["validation_loss"] == 4.5
