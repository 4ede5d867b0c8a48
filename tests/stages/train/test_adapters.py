"""Adapters: that they are PEFT's, what they leave, and that they keep what every method promises."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stages.train.conftest import Stage
from tests.stages.train.test_nodes import free_port
from tests.support import warm
from tests.support.sandbox import ROOT, executable
from tests.support.tiny_model import chat_rows
from tests.support.trained_run import tiny_model

STEPS = ("--effective-batch-size=8", "--num-epochs=2", "--learning-rate=1e-2")
LORA = (
    *("--method=lora", *STEPS, "--lora-r=4", "--lora-alpha=16", "--lora-dropout=0.1"),
    '--lora-target-modules=["q_proj", "v_proj"]',
)
DORA = (
    *("--method=lora", *STEPS, "--lora-use-dora", "--lora-use-rslora", "--lora-bias=all", "--max-steps=3"),
    '--extra={"save_dtype": "float16"}',
)
QLORA = ("--method=qlora", *STEPS, "--max-steps=3")
PYTHON = Path(executable("train")).with_name("python")
MERGED = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
for base, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    theirs = PeftModel.from_pretrained(load(base), f"{folder}/adapter").merge_and_unload().state_dict()
    ours, before = load(f"{folder}/model").state_dict(), load(base).state_dict()
    assert ours.keys() == theirs.keys()
    print(max(float((ours[name] - theirs[name]).abs().max()) for name in ours),
          max(float((ours[name] - before[name]).abs().max()) for name in ours))
"""


def qwen2() -> Path:
    """Return a tiny bfloat16 model whose attention has biases."""
    base = ROOT / ".cache" / "tests" / "tiny-qwen2"
    script = ROOT / "tests/support/tiny_model.py"
    subprocess.run([PYTHON, script, base, "--architecture=qwen2", "--dtype=bfloat16"], check=True)
    return base / "model"


def trained(stage: Stage, run_id: str, *args: str, model: Path | None = None) -> str:
    """Train to the end; return what was printed."""
    stage.download(run_id, chat_rows(32), model=model)
    code, printed = stage.run(run_id, *args)
    assert code == 0, printed
    return printed


def adapter_config(stage: Stage, run_id: str) -> dict[str, Any]:
    return dict(json.loads((stage.dir(run_id) / "adapter" / "adapter_config.json").read_text()))


@pytest.fixture(scope="module")
def lora(stage: Stage) -> str:
    trained(stage, "lora", *LORA)
    return "lora"


@pytest.fixture(scope="module")
def qlora(stage: Stage) -> str:
    """What a training with the base model in 4 bits printed."""
    return trained(stage, "qlora", *QLORA)


def test_values_decide_the_adapter(stage: Stage, lora: str) -> None:
    config = adapter_config(stage, lora)
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (4, 16, 0.1)
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert config["base_model_name_or_path"] == str(tiny_model() / "model")
    details = stage.record(lora)["details"]
    assert details["method"] == "lora"
    assert details["arguments"]["lora_r"] == 4
    assert "unfreeze_rank_ratio" not in details["arguments"]
    listed = [output["path"] for output in stage.record(lora)["outputs"]]
    assert "adapter/adapter_model.safetensors" in listed
    assert stage.metrics(lora)[-1]["loss"] < stage.metrics(lora)[0]["loss"]


def test_the_model_is_the_base_with_the_adapter_as_peft_merges_it(stage: Stage, lora: str) -> None:
    trained(stage, "dora", *DORA, model=(biased := qwen2()))
    config = adapter_config(stage, "dora")
    assert (config["use_dora"], config["use_rslora"], config["bias"]) == (True, True, "all")
    assert len(config["target_modules"]) == 7, "every linear layer but the output layer"
    assert stage.record("dora")["details"]["model"]["dtype"] == "F16"
    pairs = [(tiny_model() / "model", stage.dir(lora)), (biased, stage.dir("dora"))]
    said = warm.output("train", MERGED, *(part for pair in pairs for part in pair))
    (exact, learned), (rounded, changed) = [map(float, line.split()) for line in said.splitlines()[-2:]]
    assert exact < 1e-6 < learned
    assert rounded < changed / 10, "the saved model has float16's digits"


def test_a_killed_training_ends_as_one_that_was_not(stage: Stage, lora: str) -> None:
    stage.download("lora-again", chat_rows(32))
    process = stage.start("lora-again", *LORA, "--checkpoint-minutes=0.0001")
    stage.wait_for_step("lora-again", 5, process)
    process.kill()
    process.communicate()
    states = stage.dir("lora-again") / "checkpoints" / "full_state_checkpoints"
    held = sum(file.stat().st_size for file in states.rglob("*.distcp"))
    assert held < (tiny_model() / "model" / "model.safetensors").stat().st_size / 10, "the adapter alone"
    code, printed = stage.run("lora-again", *LORA)
    assert code == 0, printed
    assert "train chose resume value=" in printed
    for file in ("adapter/adapter_model.safetensors", "model/model.safetensors"):
        assert (stage.dir("lora-again") / file).read_bytes() == (stage.dir(lora) / file).read_bytes()


@pytest.fixture(scope="module")
def alone(stage: Stage, lora: str) -> str:
    """Run `alone`: the same training as `lora`, without merging; its model of the first epoch is kept."""
    trained(stage, "alone", *LORA, "--no-lora-merge", "--checkpoint-at-epoch")
    return "alone"


def test_an_adapter_that_is_not_merged_is_the_result(stage: Stage, lora: str, alone: str) -> None:
    same = "adapter/adapter_model.safetensors"
    assert (stage.dir(alone) / same).read_bytes() == (stage.dir(lora) / same).read_bytes()
    assert adapter_config(stage, alone) == adapter_config(stage, lora)
    assert not (stage.dir(alone) / "model").exists()
    kept = [path.name for path in (stage.dir(alone) / "checkpoints").iterdir()]
    assert kept == ["adapters"], "no merged model of an epoch either"
    record = stage.record(alone)
    base, model = record["details"]["base"], record["details"]["model"]
    assert (model["path"], model["base"]) == ("train/adapter", base["path"])
    assert model["parameters"] == 2 * 4 * (128 + 128 + 128 + 64), "of rank 4, in two layers"
    assert record["shared"] == {base["path"]: base["digest"]}, "an adapter relies on its base model"
    assert "the adapter is runs/alone/train/adapter" in record["message"]
    assert {output["path"].partition("/")[0] for output in record["outputs"]} >= {"adapter"}
    assert stage.record(lora)["shared"] == {}


def test_qlora_holds_the_base_model_in_4_bits(stage: Stage, qlora: str) -> None:
    said = re.search(r"base model loaded memory_mb=(\S+) layers_in_4_bits=14", qlora)
    assert said, qlora
    assert float(said[1]) < 0.7, "of 1.8 MB in 32 bits"
    assert stage.record("qlora")["details"]["model"]["dtype"] == "F32", "of the base model, not of 4 bits"


def test_two_nodes_train_as_one(stage: Stage, qlora: str) -> None:
    stage.download("qlora-nodes", chat_rows(32))
    env = {"PET_NNODES": "2", "PET_MASTER_ADDR": "localhost", "PET_MASTER_PORT": str(free_port())}
    starts = [stage.start("qlora-nodes", *QLORA, **env, PET_NODE_RANK=rank) for rank in ("1", "0")]
    for process in starts:
        printed, _ = process.communicate(timeout=280)
        assert process.returncode == 0, printed
    losses = [[step["loss"] for step in stage.metrics(run)] for run in ("qlora", "qlora-nodes")]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (['--lora-target-modules=["k_prj"]'], "k_prj, and the base model (llama) has no such linear layers"),
        (['--target-patterns=["q_proj"]'], "is for method osft, and --method (train.method) is lora"),
        (["--method=sft"], "--lora-r is for --method=lora or qlora (train.method), and the method is sft"),
        (["--quantization-type=fp4"], "is for --method=qlora (train.method), and the method is lora"),
        (["--no-lora-merge", '--extra={"save_dtype": "float16"}'], "an adapter, which is saved in float32"),
    ],
)
def test_what_adapters_cannot_do_is_refused(stage: Stage, lora: str, args: list[str], says: str) -> None:
    stage.refuses(lora, *LORA, *args, says=says)
