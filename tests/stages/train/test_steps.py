"""A limit on optimizer steps, and the event files that TensorBoard reads."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.stages.train.conftest import Stage
from tests.support.tiny_model import chat_rows

STEPS = 8
"""Of 18 that three epochs have; the limit is in the second epoch."""
LIMITED = (
    *("--effective-batch-size=8", "--num-epochs=3", f"--max-steps={STEPS}", "--lr-scheduler=linear"),
    *("--no-save-final-checkpoint", "--checkpoint-at-epoch"),
)


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Return what TensorBoard shows for a tag: step and value."""
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars(tag)]


def same(shown: Iterable[tuple[int, float]], lines: list[dict[str, Any]], name: str) -> bool:
    """Return whether TensorBoard shows each step of metrics.jsonl once; its numbers have 32 bits."""
    pairs = zip(shown, lines, strict=True)
    return all(
        step == line["step"] and math.isclose(value, line[name], rel_tol=1e-6)
        for (step, value), line in pairs
    )


@pytest.fixture(scope="module")
def limited(stage: Stage) -> str:
    """A training with a limit, uninterrupted."""
    stage.download("limited", chat_rows(48))
    code, printed = stage.run("limited", *LIMITED)
    assert code == 0, printed
    return "limited"


@pytest.fixture(scope="module")
def resumed(stage: Stage) -> str:
    """The same training, killed in its second epoch, and resumed; its event files go to another folder."""
    stage.download("limited-again", chat_rows(48))
    args = (*LIMITED, "--tensorboard-log-dir=boards/mine")
    process = stage.start("limited-again", *args, "--checkpoint-minutes=0.0001")
    stage.wait_for_step("limited-again", STEPS - 1, process)
    process.kill()
    process.communicate()
    code, printed = stage.run("limited-again", *args)
    assert code == 0, printed
    assert "train chose resume value=" in printed
    return "limited-again"


def test_training_ends_after_the_given_number_of_steps(stage: Stage, limited: str) -> None:
    record = stage.record(limited)
    assert [line["step"] for line in stage.metrics(limited)] == list(range(1, STEPS + 1))
    assert (record["metrics"]["steps"], record["metrics"]["epochs"]) == (STEPS, 2)
    assert record["message"].startswith(f"tuned in {STEPS} steps on 48 rows")
    assert record["details"]["max_steps"] == STEPS
    assert record["details"]["estimate"]["steps"] == STEPS
    assert record["details"]["arguments"]["max_steps"] == STEPS


def test_the_learning_rate_schedule_ends_with_the_last_step(stage: Stage, limited: str) -> None:
    rates = [line["learning_rate"] for line in stage.metrics(limited)]
    assert rates == pytest.approx([1e-3 * (1 - done / STEPS) for done in range(STEPS)])


def test_a_resumed_training_keeps_the_limit(stage: Stage, limited: str, resumed: str) -> None:
    told = [
        [(line["step"], line["loss"], line["learning_rate"]) for line in stage.metrics(run)]
        for run in (limited, resumed)
    ]
    assert told[0] == told[1]
    model, again = (stage.dir(run) / "model" / "model.safetensors" for run in (limited, resumed))
    assert model.read_bytes() == again.read_bytes()


def test_a_limit_above_what_the_epochs_have_changes_nothing(stage: Stage) -> None:
    stage.download("short", chat_rows(16))
    code, printed = stage.run("short", "--effective-batch-size=8", "--max-steps=50")
    assert code == 0, printed
    record = stage.record("short")
    assert record["metrics"]["steps"] == 2
    assert "max_steps" not in record["details"]["arguments"]


def test_tensorboard_shows_every_step_once(stage: Stage, limited: str) -> None:
    lines = stage.metrics(limited)
    for name in ("loss", "learning_rate", "grad_norm", "tokens_per_second"):
        assert same(scalars(stage.dir(limited) / "tensorboard", f"train/{name}"), lines, name), name


def test_the_record_names_the_event_files(stage: Stage, limited: str) -> None:
    (file,) = (stage.dir(limited) / "tensorboard").iterdir()
    named = [output["path"] for output in stage.record(limited)["outputs"]]
    assert f"tensorboard/{file.name}" in named
    code, printed = stage.run(limited, *LIMITED)
    assert code == 0 and "already done" in printed


def test_event_files_go_to_the_folder_that_is_given_and_show_no_step_twice(
    stage: Stage, resumed: str
) -> None:
    folder = stage.workspace / "boards" / "mine" / resumed
    assert len(list(folder.iterdir())) == 2, "one file of each start"
    assert same(scalars(folder, "train/loss"), stage.metrics(resumed), "loss")
    assert not (stage.dir(resumed) / "tensorboard").exists()


@pytest.mark.parametrize("folder", ["/elsewhere", "..", "../boards", "runs/boards", "cache", "."])
def test_a_folder_that_is_not_the_users_own_in_the_workspace_is_rejected(stage: Stage, folder: str) -> None:
    code, printed = stage.run("no-run", f"--tensorboard-log-dir={folder}")
    assert code == 2, printed
    assert (
        f"(train.tracking.tensorboardLogDir) is '{folder}', expected a folder inside the workspace" in printed
    )


def test_a_link_that_leads_out_of_the_workspace_is_rejected(stage: Stage) -> None:
    (stage.workspace / "outside").symlink_to(stage.scratch)
    code, printed = stage.run("no-run", "--tensorboard-log-dir=outside/boards")
    assert code == 2, printed
    assert "is a link to" in printed


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (['--extra={"max_steps": 7}'], "names max_steps: use --max-steps (train.maxSteps)"),
        (
            ['--extra={"training_mode": "step"}'],
            "Set --max-steps (train.maxSteps) to end after a number of steps",
        ),
        (['--extra={"training_mode": "infinite"}'], "expected one of epoch, token"),
        (['--extra={"training_mode": "token"}'], "it needs max_tokens too"),
        (['--extra={"max_tokens": 7}'], "gives max_tokens, which does nothing without training_mode 'token'"),
        (['--extra={"validate_at_final": true}'], "which does nothing without validation_split or"),
        (
            ["--checkpoint-storage=states"],
            "is 'states', expected an fsspec address such as s3://bucket/prefix",
        ),
        (
            ['--extra={"training_mode": "token", "max_tokens": 7}', "--max-steps=3"],
            "--max-steps (train.maxSteps) is 3 and --extra (train.extraArgs) gives training_mode as 'token'",
        ),
    ],
)
def test_a_check_rejects_what_would_do_nothing(stage: Stage, args: list[str], said: str) -> None:
    code, printed = stage.run("no-run", "--check", *args)
    assert code == 2, printed
    assert said in printed
