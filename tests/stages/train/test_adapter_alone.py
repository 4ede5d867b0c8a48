"""An adapter that is not merged, in all that follows training: as good as the merged model, and usable."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.client.local.support import OSFT, call
from tests.stages.train.conftest import Stage
from tests.stages.train.test_adapters import LORA
from tests.support import warm
from tests.support.completions import completions
from tests.support.sandbox import executable, stage_env
from tests.support.tiny_model import chat_rows
from tests.support.trained_run import tiny_model

TASKS = ("--tasks=osft_retention", "--limit=20", "--holdout-generate=3", "--holdout-max-new-tokens=8")
MERGED, ALONE = "merged", "adapter-only"
PAD = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
model.resize_token_embeddings(576, mean_resizing=False)
for part in (model, AutoTokenizer.from_pretrained(sys.argv[1])):
    part.save_pretrained(sys.argv[2])
"""
"""More rows of the embeddings than the tokenizer has tokens, as in many models; lm-eval would cut them."""


def evaluated(stage: Stage, run_id: str, *args: str) -> dict[str, Any]:
    """Train with held-out rows and evaluate; return the results."""
    model = stage.scratch / "padded"
    if not model.exists():
        warm.output("train", PAD, tiny_model() / "model", model)
    stage.download(run_id, chat_rows(48), model, "--train-fraction=0.75")
    code, printed = stage.run(run_id, *LORA, *args)
    assert code == 0, printed
    code, printed = stage.evaluate(run_id, *TASKS, '--model-args={"dtype": "float32"}')
    assert code == 0, printed
    return dict(json.loads((stage.dir(run_id).with_name("eval") / "results.json").read_text()))


@pytest.fixture(scope="module")
def merged(stage: Stage) -> dict[str, Any]:
    return evaluated(stage, MERGED)


@pytest.fixture(scope="module")
def alone(stage: Stage) -> dict[str, Any]:
    return evaluated(stage, ALONE, "--no-lora-merge")


@pytest.fixture(scope="module")
def card(stage: Stage, alone: dict[str, Any]) -> str:
    """The model card of the adapter."""
    where = ("--workspace", str(stage.workspace), "--run-id", ALONE, "--claim=ws")
    code, printed = warm.run([executable("register"), *where], stage_env(stage.workspace, stage.scratch), 120)
    assert code == 0, printed
    return (stage.dir(ALONE).with_name("register") / "model-card.md").read_text()


def samples(stage: Stage, run_id: str, task: str) -> list[dict[str, Any]]:
    path = stage.dir(run_id).with_name("eval") / "samples" / f"{task}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_evaluation_finds_what_it_finds_for_the_merged_model(
    stage: Stage, merged: dict[str, Any], alone: dict[str, Any]
) -> None:
    assert alone["tuned"]["path"] == "train/adapter"
    assert alone["base"] == merged["base"]
    loss, same = (found["holdout"]["loss"] for found in (alone, merged))
    assert loss["base"] == same["base"]
    assert loss["tuned"] == pytest.approx(same["tuned"], rel=1e-5)
    assert loss["base"] - loss["tuned"] > 0.1, "the adapter was loaded"
    for part in ("tasks", "groups"):
        for name, figures in merged[part].items():
            assert alone[part][name]["tuned"] == figures["tuned"], name
    for task in ("holdout", *merged["tasks"]):
        ours, theirs = samples(stage, ALONE, task), samples(stage, MERGED, task)
        assert [one["tuned"]["answer"] for one in ours] == [one["tuned"]["answer"] for one in theirs], task


def test_the_card_loads_the_adapter_on_its_base_model(stage: Stage, card: str) -> None:
    for line in ('base_model_relation: "adapter"', 'library_name: "peft"'):
        assert line in card
    assert f"The adapter is stored at `pvc://ws/runs/{ALONE}/train/adapter`." in card
    lines = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert lines
    code = lines[1].replace("WORKSPACE", str(stage.workspace)) + "\nprint(type(model).__name__)"
    assert warm.output("train", code).splitlines()[-1] == "PeftModelForCausalLM"
    base = json.loads((stage.dir(ALONE) / "record.json").read_text())["details"]["base"]["path"]
    assert f"vllm serve WORKSPACE/{base} --enable-lora --max-lora-rank 8 --lora-modules " in card


def test_the_client_asks_names_and_fetches_the_adapter(stage: Stage, card: str, tmp_path: Path) -> None:
    where = ("--workspace", stage.workspace)
    asked = call(OSFT, "ask", *where, "--run", ALONE, "--max-new-tokens=4")
    assert asked.returncode == 0, asked.stderr
    shown = call(OSFT, "report", *where, ALONE).stdout
    assert re.search(rf"adapter +\S*/runs/{ALONE}/train/adapter\n", shown), shown
    done = call(OSFT, "fetch", *where, ALONE, "--to", tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert "It is an adapter for the base model " in done.stdout
    folder = tmp_path / "here" / "train" / "adapter"
    fetched = {"adapter_config.json", "adapter_model.safetensors"}
    assert {path.name for path in folder.iterdir()} == fetched


def test_a_base_model_that_changed_ends_the_stages_that_follow(stage: Stage, alone: dict[str, Any]) -> None:
    base = stage.workspace / stage.record(ALONE)["details"]["base"]["path"] / "config.json"
    kept = base.read_bytes()
    base.write_bytes(kept + b"\n")
    try:
        where = ("--workspace", str(stage.workspace), "--run-id", ALONE)
        env = stage_env(stage.workspace, stage.scratch)
        code, printed = warm.run([executable("register"), *where], env, 120)
    finally:
        base.write_bytes(kept)
    assert code == 2, printed
    assert "has a different digest than the record says" in printed


def test_it_is_not_a_base_model_to_continue_from(stage: Stage, alone: dict[str, Any]) -> None:
    code, printed = stage.try_download("next", chat_rows(4), stage.dir(ALONE) / "adapter")
    assert code == 2, printed
    assert "holds an adapter (adapter_config.json) and not a complete model" in printed
    assert "train.lora.merge" in printed


def test_a_killed_training_leaves_the_same_adapter(stage: Stage, alone: dict[str, Any]) -> None:
    again = "adapter-killed"
    shutil.copytree(stage.dir(ALONE).with_name("download"), stage.dir(again).with_name("download"))
    record = stage.dir(again).with_name("download") / "record.json"
    record.write_text(record.read_text().replace(f'"run_id": "{ALONE}"', f'"run_id": "{again}"'))
    process = stage.start(again, *LORA, "--no-lora-merge", "--checkpoint-minutes=0.0001")
    stage.wait_for_step(again, 5, process)
    process.kill()
    process.communicate()
    code, printed = stage.run(again, *LORA, "--no-lora-merge")
    assert code == 0, printed
    assert "train chose resume value=" in printed
    file = "adapter/adapter_model.safetensors"
    assert (stage.dir(again) / file).read_bytes() == (stage.dir(ALONE) / file).read_bytes()


def test_a_server_is_asked_for_the_adapter_by_its_folder(stage: Stage, alone: dict[str, Any]) -> None:
    base = str(stage.workspace / stage.record(ALONE)["details"]["base"]["path"])
    folder = str(stage.dir(ALONE) / "adapter")
    with completions(Path(base), {base: -0.5, folder: -0.25}, {}) as server:
        only = ("--tasks=none", "--holdout-generate=0", "--backend=openai", f"--base-url={server.url}")
        code, printed = stage.evaluate(ALONE, *only)
    assert code == 0, printed
    results = json.loads((stage.dir(ALONE).with_name("eval") / "results.json").read_text())
    assert results["holdout"]["loss"] == {"base": pytest.approx(0.5), "tuned": pytest.approx(0.25)}
