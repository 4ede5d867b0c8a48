"""`osft plan`: what a training takes, before anything is installed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.client.local.support import OSFT, call

CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}
ROWS = ("--rows=20000", "--tokens-per-row=600")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


def plan(config: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return call(OSFT, "plan", "--workspace", config.parent, "--config", config, *words, **env)


def figures(config: Path, *words: str) -> dict[str, Any]:
    done = plan(config, "--json", *words)
    assert done.returncode in (0, 2), done.stderr
    return dict(json.loads(done.stdout))


def test_every_term_is_shown_with_what_was_assumed(config: Path) -> None:
    done = plan(config, *ROWS)
    assert done.returncode == 0, done.stderr
    for word in ("parameters", "gradients", "optimizer", "frozen", "activations", "logits", "total"):
        assert word in done.stdout
    assert "osft of 8,030.3M parameters, 1 GPU" in done.stdout
    assert "157 of 128 rows" in done.stdout
    assert "Assumed: 20,000 rows of 600 tokens each." in done.stdout


def test_what_does_not_fit_ends_with_a_change_that_does(config: Path) -> None:
    limits = "--set=preflight.training.gpuMemoryGiB=80,preflight.training.maxHours=24"
    done = plan(config, *ROWS, limits)
    assert done.returncode == 2 and "does not fit into 80" in done.stdout
    change = done.stderr.partition("The smallest change that fits is --set ")[2].strip().rstrip(".")
    assert change
    again = plan(config, *ROWS, limits, f"--set={change}")
    assert again.returncode == 0, again.stderr
    assert "fits into 80" in again.stdout


def test_json_has_the_same_figures_for_every_method(config: Path) -> None:
    found = {
        method: figures(config, *ROWS, f"--set=train.method={method}")
        for method in ("osft", "sft", "lora", "qlora")
    }
    memory = {method: each["memory_bytes"] for method, each in found.items()}
    assert memory["qlora"] < memory["lora"] < min(memory["sft"], memory["osft"])
    assert all(each["fits"] and each["change"] is None and each["assumed"] for each in found.values())
    assert found["lora"]["steps"] == 1250  # of 16 rows


def test_auto_takes_as_many_tokens_as_fit(config: Path) -> None:
    words = ("--set=train.gpus=8,train.maxTokensPerGpu=auto", "--set=train.effectiveBatchSize=2000")
    found = [
        figures(config, *ROWS, *words, f"--set=preflight.training.gpuMemoryGiB={gib}") for gib in (40, 80)
    ]
    small, large = (each["max_tokens_per_gpu"] for each in found)
    assert 600 < small < large
    assert [each["fits"] for each in found] == [True, True]
    refused = plan(config, *ROWS, *words)
    assert refused.returncode == 2 and "Set preflight.training.gpuMemoryGiB" in refused.stderr


def test_rows_of_a_local_file_are_counted(config: Path) -> None:
    data = config.with_name("rows.jsonl")
    data.write_text("".join(json.dumps({"text": "x" * 400}) + "\n" for _ in range(300)))
    found = figures(config, f"--set=data.uri={data}")
    assert found["rows"] == 300 and found["longest_row"] == 103
    assert "a token is 4 bytes" in found["assumed"][0]


def test_what_cannot_be_planned_says_what_to_do(config: Path) -> None:
    config.write_text(json.dumps({**CONFIG, "model_type": "enigma"}))
    done = plan(config)
    assert done.returncode == 2 and "of the type enigma" in done.stderr and "Name a folder" in done.stderr
    config.write_text("[]")
    assert "not the config.json of a model" in plan(config).stderr
    assert "belong together" in plan(config, "--rows=5").stderr
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(config.parent / "none")}
    done = call(OSFT, "plan", "--workspace", config.parent, "--set=model.uri=hf://org/none", **unreachable)
    assert done.returncode == 2 and "--config FILE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_is_not_there_is_said(config: Path) -> None:
    done = plan(config, "--run", "none-1")
    assert done.returncode == 2 and "run none-1 has no finished download" in done.stderr
