"""The working folder through kills and changed inputs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from osft_train import states
from osft_train.work import Work
from tests.unit.train.support import some_run


def leave_state(work: Work, step: int, *, whole: bool = True) -> None:
    folder = work.dir / "full_state_checkpoints" / f"step_{step}"
    folder.mkdir(parents=True)
    (folder / "training_state.pt").write_text(str(step))
    if whole:
        states.seal(folder, work.digest)


def test_the_newest_whole_state_is_resumed_from(tmp_path: Path) -> None:
    work = Work(tmp_path / "checkpoints", "sha256:1")
    leave_state(work, 9)
    leave_state(work, 10)
    leave_state(work, 11, whole=False)
    work.offer()
    (work.dir / "training_metrics_0.jsonl").touch()
    assert work.open(some_run(tmp_path), resume=True) == 10
    assert (work.dir / "training_metrics_0.jsonl").exists()


def change(folder: Path) -> None:
    (folder / "training_state.pt").write_text("else")


def add(folder: Path) -> None:
    (folder / "rng_state_rank_0.pt").write_text("planted")


def take(folder: Path) -> None:
    (folder / "training_state.pt").unlink()


def reseal(folder: Path) -> None:
    states.seal(folder, "sha256:2")


def unseal(folder: Path) -> None:
    (folder / states.SEAL).write_text("[" * 100_000)


@pytest.mark.parametrize("spoil", [change, add, take, reseal, unseal])
def test_a_damaged_or_foreign_state_is_given_up_for_an_earlier_one(
    tmp_path: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(tmp_path / "checkpoints", "sha256:1")
    for step in (8, 10):
        leave_state(work, step)
    work.offer()
    spoil(work.dir / states.FOLDER / "step_10")
    assert work.open(some_run(tmp_path), resume=True) == 8
    assert "full state cannot be used, removing it step=10 because=" in capsys.readouterr().out
    spoil(work.dir / states.FOLDER / "step_8")
    assert work.open(some_run(tmp_path), resume=True) == 0
    assert states.steps(work.dir) == []


def test_checkpoints_of_other_inputs_are_never_resumed_from(tmp_path: Path) -> None:
    old = Work(tmp_path / "checkpoints", "sha256:1")
    leave_state(old, 10)
    old.offer()
    new = Work(tmp_path / "checkpoints", "sha256:2")
    assert new.open(some_run(tmp_path), resume=True) == 0
    assert list(new.dir.iterdir()) == []


def test_without_a_state_an_earlier_starts_log_and_models_are_not_taken_over(tmp_path: Path) -> None:
    work = Work(tmp_path / "checkpoints", "sha256:1")
    (work.dir / "hf_format" / "samples_10").mkdir(parents=True)
    (work.dir / "training_metrics_0.jsonl").touch()
    (work.dir / "rows").mkdir()
    work.offer()
    assert work.open(some_run(tmp_path), resume=True) == 0
    assert sorted(path.name for path in work.dir.iterdir()) == ["inputs.json", "rows"]


def test_a_training_that_ended_well_is_not_done_again(tmp_path: Path) -> None:
    work = Work(tmp_path / "checkpoints", "sha256:1")
    (work.dir / "hf_format" / "samples_10").mkdir(parents=True)
    work.offer()
    work.finish(10, {"mlflow": {"run_id": "0a1b"}})
    assert work.trackers() == {"mlflow": {"run_id": "0a1b"}}
    work.open(some_run(tmp_path), resume=True)
    assert (work.dir / "hf_format" / "samples_10").is_dir() and work.finished.is_file()


def test_only_models_of_epochs_stay(tmp_path: Path) -> None:
    work = Work(tmp_path / "checkpoints", "sha256:1")
    epoch, last = (work.dir / "hf_format" / f"samples_{number}" for number in (10, 20))
    for folder in (epoch, last):
        folder.mkdir(parents=True)
    leave_state(work, 10)
    work.clear(last)
    assert [path.name for path in work.dir.rglob("*")] == ["hf_format", "samples_10"]
    work.clear(epoch)
    assert not work.dir.exists()
