"""How training ended, whatever the backend says."""

from pathlib import Path
from typing import Any

import pytest

from osft_train import outcome
from osft_train.estimate import Plan
from osft_train.options import Options
from osft_train.work import Work
from osft_workspace import Transient
from osft_workspace.exits import StageError
from tests.unit.train.support import some_run, write_model
from tests.unit.train.test_metrics import line, write_raw

TENSORS = {"model.norm.weight": [1.0]}


def ended(
    tmp_path: Path, samples: int, saved: list[int], plan: Plan, *, state: int | None = None, **options: Any
) -> int:
    """Return what `check_steps` says of 3 steps of 32 rows with these models saved."""
    work = Work(tmp_path / "checkpoints", "sha256:1")
    for number in saved:
        write_model(work.dir / "hf_format" / f"samples_{number}.0", TENSORS)
    if state is not None:
        folder = work.dir / "full_state_checkpoints" / f"step_{state}"
        folder.mkdir(parents=True)
        (folder / "training_state.pt").touch()
    work.dir.mkdir(exist_ok=True)
    counts = {"total_samples_accumulated": float(samples), "total_tokens_accumulated": 100.0 * samples}
    write_raw(work.dir, *(line(step, 3.0, **counts) for step in (1, 2, 3)))
    return outcome.check_steps(some_run(tmp_path), work, plan, Options(**options))


def test_the_last_step_with_its_model_is_the_end(tmp_path: Path) -> None:
    assert ended(tmp_path, 96, [32, 96], Plan(3, 3, None)) == 3


def test_a_stop_in_the_last_step_does_not_publish_an_earlier_epochs_model(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="received SIGTERM at step 3 of 3"):
        ended(tmp_path, 96, [32], Plan(1, 3, None), state=3)


def test_success_without_a_model_of_the_last_step_is_not_trusted(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="there is no model of the last one"):
        ended(tmp_path, 96, [32], Plan(1, 3, None))


def test_tokens_decide_where_they_are_asked_for(tmp_path: Path) -> None:
    extra = {"training_mode": "token", "max_tokens": 9_600}
    assert ended(tmp_path / "all", 96, [96], Plan(1, None, None), extra=extra) == 3
    with pytest.raises(Transient, match="received SIGTERM"):
        ended(tmp_path / "some", 32, [32], Plan(1, None, None), state=1, extra=extra)


def test_a_model_of_an_epoch_will_do_where_none_of_the_end_is_asked_for(tmp_path: Path) -> None:
    extra = {"training_mode": "token", "max_tokens": 9_600}
    assert ended(tmp_path, 96, [64], Plan(2, None, None), save_final_checkpoint=False, extra=extra) == 3


def test_another_node_saves_no_model(tmp_path: Path) -> None:
    work = Work(tmp_path / "checkpoints", "sha256:1")
    work.dir.mkdir()
    counts = {"total_samples_accumulated": 96.0}
    write_raw(work.dir, line(3, 3.0, **counts))
    (work.dir / "training_metrics_0.jsonl").rename(work.dir / "training_metrics_1.jsonl")
    assert outcome.check_steps(some_run(tmp_path), work, Plan(3, 3, None), Options(node_rank=1)) == 3
