"""The loss of held-out rows while training goes on."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.stages.train.conftest import Stage
from tests.stages.train.test_loss import FLOAT32, plainly
from tests.support.tiny_model import chat_rows

ARGS = ("--effective-batch-size=8", "--num-epochs=2")
HALF = "--train-fraction=0.5"


def measured(stage: Stage, run: str) -> dict[int, float]:
    """Return the steps after which held-out rows were measured, and their loss."""
    lines = stage.metrics(run)
    return {line["step"]: line["validation_loss"] for line in lines if "validation_loss" in line}


def held_out(stage: Stage, details: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the held-out rows of a download as it encoded them."""
    text = (stage.workspace / details["tokens"]["path"] / "eval.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_it_is_measured_four_times_and_the_last_is_that_of_the_tuned_model(
    stage: Stage, tmp_path: Path
) -> None:
    details = stage.download("held", chat_rows(80), None, HALF)["details"]
    code, printed = stage.run("held", *ARGS, **FLOAT32)
    assert code == 0, printed
    losses = measured(stage, "held")
    assert list(losses) == [3, 6, 9, 10]
    assert losses[10] < losses[3]
    assert f"train held-out loss step=3 loss={losses[3]:.3f}" in printed
    assert re.search(rf"train training step=10/10 .* held_out_loss={losses[10]:.3f} ", printed)

    record = stage.record("held")
    assert record["metrics"]["lowest_validation_loss"] == min(losses.values())
    assert losses[record["metrics"]["lowest_validation_step"]] == min(losses.values())
    seen = record["details"]["held_out"]
    rows = held_out(stage, details)
    assert len(rows) == 40
    part = rows[: seen["rows"]]
    assert seen == {"rows": 32, "tokens": sum(row["len"] for row in part), "every": 3}
    loss, _ = plainly(stage.dir("held") / "model", part, tmp_path)
    assert losses[10] == pytest.approx(loss, rel=1e-3)

    root = ET.parse(stage.dir("held") / "loss.svg").getroot()
    assert {"validation", "lowest"} <= {element.get("id") for element in root.iter()}
    assert f"lowest, {min(losses.values()):.3f}" in set(map(str.strip, root.itertext()))


@pytest.mark.parametrize(("often", "steps"), [("4", [4, 8, 10]), ("0.5", [2, 4, 6, 8, 10]), ("0", [])])
def test_it_is_measured_as_often_as_said_and_changes_nothing(
    stage: Stage, often: str, steps: list[int]
) -> None:
    run = f"held-{often}"
    stage.download(run, chat_rows(80), None, HALF)
    code, printed = stage.run(run, *ARGS, f"--eval-every={often}")
    assert code == 0, printed
    assert list(measured(stage, run)) == steps
    assert (stage.record(run)["details"]["held_out"] is None) == (often == "0")
    models = [stage.dir(name) / "model" / "model.safetensors" for name in (run, "held-plain")]
    if not models[1].exists():
        stage.download("held-plain", chat_rows(80), None, HALF)
        assert stage.run("held-plain", *ARGS, "--eval-every=0")[0] == 0
    assert models[0].read_bytes() == models[1].read_bytes()


def test_a_resumed_training_measures_as_one_that_was_not_killed(stage: Stage) -> None:
    stage.download("held-killed", chat_rows(80), None, HALF)
    process = stage.start("held-killed", *ARGS, "--eval-every=4", "--checkpoint-minutes=0.0001")
    stage.wait_for_step("held-killed", 5, process)
    process.kill()
    process.communicate()
    code, printed = stage.run("held-killed", *ARGS, "--eval-every=4")
    assert code == 0, printed
    assert "train chose resume" in printed
    if "resume value=4" in printed:  # that state holds the loss that was measured before
        assert "train held-out loss step=5" not in printed
    assert list(measured(stage, "held-killed")) == [4, 8, 10]
    assert measured(stage, "held-killed") == measured(stage, "held-4")


def test_two_processes_measure_the_same_rows_as_one(stage: Stage) -> None:
    losses = {}
    least = ("--max-steps=1", "--learning-rate=1e-8")  # which leaves the model nearly as it was
    for processes in (1, 2):
        run = f"held-by-{processes}"
        stage.download(run, chat_rows(80), None, HALF)
        code, printed = stage.run(run, *ARGS, *least, f"--nproc-per-node={processes}", **FLOAT32)
        assert code == 0, printed
        losses[processes] = measured(stage, run)[1]
    assert losses[1] == pytest.approx(losses[2], rel=1e-4)


def test_documents_are_measured_in_blocks(stage: Stage) -> None:
    texts = [{"document": "The keeper counts the apples. " * count} for count in (4, 5, 2, 7, 3, 6)]
    stage.download("held-text", texts, None, HALF, "--pretraining")
    code, printed = stage.run("held-text", "--effective-batch-size=2", "--is-pretraining", "--block-size=24")
    assert code == 0, printed
    assert measured(stage, "held-text")


def test_without_held_out_rows_it_says_so(stage: Stage) -> None:
    stage.download("held-none", chat_rows(16))
    code, printed = stage.run("held-none", *ARGS)
    assert code == 0, printed
    assert 'train chose eval_every value=0 reason="no rows are held out"' in printed
    assert measured(stage, "held-none") == {}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--eval-every=often"], "'often' is not a valid"),
        (["--eval-every=-1"], "-1.0 is not in the range"),
        (
            ["--eval-every=5", '--extra={"validation_split": 0.1, "validate_at_epoch": true}'],
            "--eval-every (train.evalEvery) is 5 and --extra (train.extraArgs) gives validation_split",
        ),
    ],
)
def test_what_it_cannot_be_is_rejected(stage: Stage, args: list[str], said: str) -> None:
    stage.download("held-wrong", chat_rows(16))
    code, printed = stage.run("held-wrong", *ARGS, *args)
    assert code == 2, printed
    assert said in printed
