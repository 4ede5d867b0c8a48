"""Trainings that end before they are done."""

import signal
import time

from tests.stages.train.conftest import WHOLE, Done, Ended, Killed, Stage, whole_rows, workers
from tests.support.tiny_model import chat_rows


def test_a_stop_before_the_first_step_ends_at_once(stage: Stage) -> None:
    stage.download("early", whole_rows())
    process = stage.start("early", *WHOLE, program=True)
    while not workers(process) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 75, printed
    assert "SIGTERM received before the first step of this start" in printed
    assert "train training" not in printed and workers(process) == []


def test_a_kill_after_the_model_is_made_loses_nothing(stage: Stage) -> None:
    stage.download("late", chat_rows(16))
    args = ("--effective-batch-size=8", "--num-epochs=2", "--checkpoint-at-epoch")
    weights = stage.dir("late") / "unfinished" / "model" / "model.safetensors"
    process = stage.start("late", *args)
    while not weights.is_file() and process.poll() is None:
        time.sleep(0.0002)
    process.kill()
    process.communicate()
    assert not (stage.dir("late") / "record.json").exists(), "killed too late to show anything"
    made = weights.read_bytes()
    code, printed = stage.run("late", *args)
    assert code == 0, printed
    assert "train training" not in printed
    assert (stage.dir("late") / "model" / "model.safetensors").read_bytes() == made
    saved = stage.dir("late") / "checkpoints" / "hf_format"
    assert [path.name for path in saved.iterdir()] == ["samples_16.0"]  # the first epoch's


def test_a_killed_stage_takes_its_workers_with_it(killed: Killed) -> None:
    assert killed.left == []


def test_a_full_state_is_taken_during_training_and_is_whole(killed: Killed) -> None:
    assert len([name for name in killed.states if name.startswith("step_")]) == 1, killed.states


def test_a_kill_costs_the_steps_since_the_last_full_state(killed: Killed, stopped: Ended) -> None:
    kept = int(next(name for name in killed.states if name.startswith("step_")).removeprefix("step_"))
    assert f"train chose resume value={kept} reason=" in stopped.printed
    assert "resuming from the last full state" in stopped.printed


def test_a_stopped_training_exits_to_be_retried(stopped: Ended) -> None:
    assert stopped.code == 75, stopped.printed
    assert "training received SIGTERM at step" in stopped.printed and "Start again to " in stopped.printed
    assert not {"record.json", "model"} & set(stopped.files)


def test_training_resumes_in_a_later_epoch(finished: Ended, stage: Stage) -> None:
    assert finished.code == 0, finished.printed
    assert [line["step"] for line in stage.metrics("story")] == list(range(1, 19))
    assert "Resumed at step=" in (stage.dir("story") / "train.log").read_text()


def test_rows_are_chosen_once(killed: Killed, stopped: Ended, finished: Ended) -> None:
    assert killed.rows_written == stopped.rows_written
    for start in (stopped, finished):
        assert "train rows to train on rows=46 " in start.printed


def test_an_interrupted_training_makes_the_same_model(finished: Ended, stage: Stage, whole: Done) -> None:
    """Bit for bit: weights, moments, schedule, order of rows and place are all restored."""
    assert finished.code == 0, finished.printed
    losses = [(line["step"], line["loss"], line["learning_rate"]) for line in stage.metrics("story")]
    assert losses == [(line["step"], line["loss"], line["learning_rate"]) for line in whole.metrics]
    model = (stage.dir("story") / "model" / "model.safetensors").read_bytes()
    assert model == (whole.dir / "model" / "model.safetensors").read_bytes()


def test_where_and_how_it_ran_does_not_make_it_another_training(finished: Ended, stage: Stage) -> None:
    code, printed = stage.run("story", *WHOLE, "--checkpoint-minutes=7", "--no-enable-jit-checkpoint")
    assert (finished.code, code) == (0, 0)
    assert "already done" in printed
