"""A config.json of absurd sizes, planted after download with a record that agrees: a sentence at once."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from osft_workspace import tree_digest
from tests.hostile.runs import CHAT
from tests.hostile.table import RUN, Bench, Row, check
from tests.support.model_folders import edit, write_llama
from tests.support.sandbox import stage_env
from tests.support.trained_run import make_trained_run

SIZES = {"num_hidden_layers": 10**6, "num_local_experts": 10**6, "num_labels": 10**9}
DEEP = "[" * 100_000
AGAIN = "It was changed after download and train left it: run them again"


def plant(config: str) -> Callable[[Path], Path]:
    """Write a model whose config.json is a text."""

    def write(folder: Path) -> Path:
        write_llama(folder)
        (folder / "config.json").write_text(config)
        return folder

    return write


def absurd(name: str) -> Callable[[Path], Path]:
    """Write a model with one size that no model has."""

    def write(folder: Path) -> Path:
        write_llama(folder)
        edit(folder / "config.json", lambda value: value.update({name: SIZES[name]}))
        return folder

    return write


def train(write: Callable[[Path], Path]) -> Callable[[Bench], Sequence[str]]:
    """Return the training of a good download, whose base model and record were changed then."""

    def arrange(bench: Bench) -> Sequence[str]:
        rows, model = bench.file("rows.jsonl", CHAT * 20), write_llama(bench.base / "model")
        env = stage_env(bench.workspace, bench.base / "scratch", {"OSFT_DATA_MIN_TOKENS": "0"})
        command = bench.stage("download", "--uri", rows, "--model-uri", model)
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        record = bench.workspace / "runs" / RUN / "download" / "record.json"
        values = json.loads(record.read_text())
        path = values["details"]["model"]["path"]
        write(bench.workspace / path)
        values["shared"][path] = values["details"]["model"]["digest"] = tree_digest(bench.workspace / path)
        record.write_text(json.dumps(values))
        return bench.stage("train", "--gpus=0")

    return arrange


def evaluate(write: Callable[[Path], Path], *, which: str) -> Callable[[Bench], Sequence[str]]:
    """Return the evaluation of a run with such a base or tuned model."""

    def arrange(bench: Bench) -> Sequence[str]:
        good = write_llama(bench.base / "good")
        models = {"base": good, "tuned": good, which: write(bench.base / which)}
        make_trained_run(bench.workspace, RUN, **models, rows=[])
        return bench.stage("eval", "--gpus=0")

    return arrange


def row(what: str, stage: str, arrange: Callable[[Bench], Sequence[str]], says: str) -> Row:
    """One model, met by one stage that builds it."""
    return Row(f"{what}, {stage}", arrange, 2, says, seconds=60)


ROWS = [
    *(
        row(
            name, f"{stage}, {which}", arrange, f"the {which} model .*gives {name} as {SIZES[name]}, expected"
        )
        for name in SIZES
        for stage, which, arrange in (
            ("train", "base", train(absurd(name))),
            ("eval", "base", evaluate(absurd(name), which="base")),
            ("eval", "tuned", evaluate(absurd(name), which="tuned")),
        )
        if (name, which, stage) != ("num_labels", "base", "eval")  # arranging it would fill memory
    ),
    row("a deep config", "train", train(plant(DEEP)), "is not JSON"),
    row("a deep config", "eval", evaluate(plant(DEEP), which="tuned"), "is not JSON"),
    row("a list as config", "train", train(plant("[]")), f"is not a JSON object. {AGAIN}"),
    row("a list as config", "eval", evaluate(plant("[]"), which="tuned"), f"is not a JSON object. {AGAIN}"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_absurd(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
