"""Runs that would end well and learn nothing, or fail late, are refused before the first step."""

import json

import pytest

from tests.stages.train.conftest import Stage
from tests.support.tiny_model import chat_rows

TEXTS = [{"document": f"The keeper counts {number} apples. " * 3} for number in range(12)]


@pytest.fixture(scope="module")
def ready(stage: Stage) -> str:
    """16 rows: one step with the default batch."""
    stage.download("learns", chat_rows(16))
    return "learns"


@pytest.fixture(scope="module")
def plain(stage: Stage) -> tuple[str, int]:
    """Documents, and how many tokens they have."""
    record = stage.download("plain", TEXTS, None, "--pretraining")
    return "plain", int(record["details"]["tokens"]["sets"]["train"]["tokens"])


VALIDATION = '--extra={"validation_split": 0.1, "validate_at_epoch": true}'


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["--warmup-steps=100", "--nproc-per-node=17"],
            [
                "--warmup-steps (train.scheduler.warmupSteps) is 100 and the run has 1 step: the learning "
                "rate never reaches its peak. Lower it, or train longer",
                "there are 16 rows to train on for 17 processes, expected at least one row for each. Use "
                "fewer processes (train.gpus, train.nodes, train.processesPerNode), or give more rows.",
            ],
        ),
        (
            [
                "--warmup-steps=4",
                "--effective-batch-size=8",
                "--num-epochs=2",
                "--nproc-per-node=15",
                VALIDATION,
            ],
            ["is 4 and the run has 4 steps", "there are 14 rows to train on for 15 processes"],
        ),
        (
            ["--warmup-steps=5", "--max-steps=5", "--effective-batch-size=2"],
            ["is 5 and the run has 5 steps"],
        ),
        (
            ["--warmup-steps=3", '--extra={"training_mode": "token", "max_tokens": 10}'],
            ["is 3 and the run has 1 step"],
        ),
        (
            ["--learning-rate=1e-50", "--lr-scheduler=constant", "--warmup-steps=9"],
            [
                "(train.learningRate) is 1e-50 and reaches 1e-50 in 1 step, which changes no weight",
                "raise it.",
            ],
        ),
        (
            ["--lr-scheduler=warmup_stable_decay"],
            [
                "--lr-scheduler-kwargs (train.scheduler.kwargs) is {}, which the schedule "
                "warmup_stable_decay of transformers does not take: "
            ],
        ),
        (
            ["--lr-scheduler=polynomial", '--lr-scheduler-kwargs={"lr_end": 1}'],
            ['is {"lr_end": 1}, which the schedule polynomial of transformers does not take: lr_end'],
        ),
        (
            ['--extra={"validation_split": 1.0, "validate_at_epoch": true}'],
            ["validation_split (train.extraArgs, --extra) is 1.0 and leaves none of 16 rows to train on"],
        ),
        (
            ["--is-pretraining", "--block-size=64"],
            ["trains on documents, and the rows of download are of the kind messages."],
        ),
    ],
)
def test_a_run_that_cannot_learn_is_rejected_before_a_model_is_loaded(
    stage: Stage, ready: str, args: list[str], said: list[str]
) -> None:
    code, printed = stage.run(ready, *args)
    assert code == 2, printed
    assert [words for words in said if words not in printed] == [], printed
    assert "Traceback" not in printed and "bug" not in printed
    assert not (stage.dir(ready) / "unfinished" / "train.log").exists(), "a worker was started"


def test_blocks_that_no_gpu_takes_are_rejected(stage: Stage, plain: tuple[str, int]) -> None:
    code, printed = stage.run(plain[0], "--is-pretraining", "--block-size=2000")
    assert code == 2, printed
    assert "--block-size (train.pretraining.blockSize) is 2000 and --max-tokens-per-gpu" in printed


def test_a_last_block_of_one_token_makes_no_step(stage: Stage, plain: tuple[str, int]) -> None:
    """Its loss would be 0 / 0, and the sentence would blame the learning rate."""
    run_id, tokens = plain
    args = ("--is-pretraining", f"--block-size={tokens - 1}", "--effective-batch-size=1")
    code, printed = stage.run(run_id, *args)
    assert code == 2, printed
    assert f"the last block of the {tokens} tokens holds one token" in printed
    assert "Choose another block size." in printed


@pytest.mark.parametrize(
    "row",
    [
        {"input_ids": list(range(40)), "labels": [0, *[-100] * 39]},
        {
            "messages": [
                {"role": "user", "content": "What does the amber baker do on Monday?"},
                {"role": "assistant", "content": "The amber baker carries the apples.", "weight": 0},
            ]
        },
    ],
    ids=["processed", "chat"],
)
def test_rows_whose_labels_are_all_masked_end_before_training(stage: Stage, row: dict[str, object]) -> None:
    code, printed = stage.try_download("masked", [row, row])
    assert code == 2, printed
    assert "no row is left to train on: of 2 rows 2 are without a token to learn" in printed


@pytest.mark.parametrize("known", ["input_ids", "labels"])
def test_a_token_that_the_base_model_does_not_know_ends_before_training(stage: Stage, known: str) -> None:
    row = {"input_ids": [*range(39), 9999], "labels": [*range(39), 9999]}
    row[known] = [*range(40)]
    code, printed = stage.try_download(f"unknown-{known.replace('_', '-')}", [row])
    assert code == 2, printed
    assert "token id 9999 is outside the base model's" in printed


def test_one_row_is_reported_as_it_is(stage: Stage) -> None:
    """Not as data.trainFraction 1, which it is not."""
    stage.download("one", chat_rows(1), None, "--train-fraction=0.9")
    code, printed = stage.run("one")
    assert code == 0, printed
    assert stage.record("one")["message"].startswith("tuned in 1 step on 1 row, loss ")
    code, printed = stage.evaluate("one", "--tasks=none")
    assert code == 2, printed
    assert "there is one row, which cannot be split" in printed
    assert "trainFraction is 1" not in printed
    assert json.loads((stage.dir("one") / "record.json").read_text())["metrics"]["rows"] == 1
