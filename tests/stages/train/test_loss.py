"""The loss of a step is the plain mean over the learned tokens of its rows, whatever is packed and split."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stages.train.conftest import THINKING, Stage
from tests.support import warm
from tests.support.sandbox import ROOT
from tests.support.tiny_model import chat_rows

TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}
FLOAT32 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
"""Lets a processor that multiplies bfloat16 hide it."""
BLOCK = 24


def turns() -> list[dict[str, Any]]:
    """13 chats of other lengths; some with two answers, one of which is not learned."""
    rows = chat_rows(13)
    for number, row in enumerate(rows[:6]):
        row["messages"] += [
            {"role": "user", "content": "And then?"},
            {"role": "assistant", "content": "The baker rests." * (number + 1), "weight": number % 2},
        ]
    return [*rows, THINKING]


def blocks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents as mini-trainer cuts them; all of a block is learned but its first token."""
    ids = [token for row in rows for token in row["input_ids"]]
    cut = [ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK)]
    return [{"input_ids": block, "labels": block} for block in cut]


def plainly(model: Path, rows: list[dict[str, Any]], scratch: Path) -> tuple[float, int]:
    """Mean loss and number of tokens, each row alone through the base model."""
    path = scratch / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = (ROOT / "tests/support/loss.py").read_text()
    told = json.loads(warm.output("train", program, model, path).splitlines()[-1])
    return float(told["loss"]), int(told["tokens"])


def plain_ids() -> list[dict[str, Any]]:
    """Rows of token ids of the user's own making, every one of which counts."""
    return [
        {"input_ids": ids, "labels": ids} for ids in ([*range(first, first + 9)] for first in (4, 90, 300))
    ]


TEXTS = [{"document": "The keeper counts the apples. " * count} for count in (1, 5, 2)]
TEXT_ARGS = ("--is-pretraining", f"--block-size={BLOCK}")


@pytest.mark.parametrize(
    ("run_id", "rows", "download_args", "args", "env"),
    [
        ("loss-one", turns(), (), (), {}),
        ("loss-two", turns(), (), ("--nproc-per-node=2", "--max-tokens-per-gpu=256"), FLOAT32),
        ("loss-text", TEXTS, ("--pretraining",), TEXT_ARGS, FLOAT32),
        ("loss-ids", plain_ids(), (), (), FLOAT32),
    ],
    ids=["as the processor likes it", "two processes and several passes", "documents", "token ids"],
)
def test_the_loss_of_a_step_is_the_mean_over_all_its_learned_tokens(
    stage: Stage,
    tmp_path: Path,
    run_id: str,
    rows: list[dict[str, Any]],
    download_args: tuple[str, ...],
    args: tuple[str, ...],
    env: dict[str, str],
) -> None:
    details = stage.download(run_id, rows, None, *download_args)["details"]
    code, printed = stage.run(run_id, "--effective-batch-size=64", *args, **env)
    assert code == 0, printed
    text = (stage.workspace / details["tokens"]["path"] / "train.jsonl").read_text()
    encoded = [json.loads(line) for line in text.splitlines()]
    if download_args:
        encoded = blocks(encoded)
    loss, tokens = plainly(stage.workspace / details["model"]["path"], encoded, tmp_path)
    (step,) = stage.metrics(run_id)
    compute = stage.record(run_id)["details"]["compute"]
    assert compute == "float32" or not env
    assert step["loss"] == pytest.approx(loss, rel=TOLERANCE[compute])
    assert step["learned_tokens"] == tokens
    assert loss > 1, "a model that knows nothing yet"
