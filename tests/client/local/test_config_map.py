"""Runs on this machine with the settings of train.configMap: the chart's ConfigMap, and a folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.client.local.support import OSFT, ROOT, call
from tests.support.tiny_values import TINY

TRAIN = {key: value for key, value in TINY["train"].items() if key != "effectiveBatchSize"}
VALUES: dict[str, Any] = {
    **TINY,
    "train": {**TRAIN, "maxSteps": 2},
    **{stage: {"enabled": False} for stage in ("eval", "register")},
    "workspace": {"minFreeGiB": 1},
}
SETTINGS = {"LoraConfig": {"r": 3}, "TrainingArguments": {"max_steps": 9, "per_device_train_batch_size": 8}}


def run(folder: Path, *words: str | Path) -> tuple[int, str]:
    """Run download and training; return the exit code and what was printed."""
    tiny = ROOT / ".cache" / "tests" / "tiny"
    made = call(ROOT / ".venvs/train/bin/python", ROOT / "tests/support/tiny_model.py", tiny)
    assert made.returncode == 0, made.stderr
    (folder / "values.yaml").write_text(yaml.safe_dump(VALUES))
    (folder / "training_config.yaml").write_text(yaml.safe_dump({"training_config": SETTINGS}))
    own = ("--workspace", folder / "workspace", "--claim", f"tiny={tiny}", *words)
    done = call(OSFT, "run", "one", "--local", "-f", folder / "values.yaml", *own, HF_TOKEN="none")
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("given", ["content", "name"])
def test_a_run_on_this_machine_trains_by_the_settings(tmp_path: Path, given: str) -> None:
    words = {
        "content": ["--set-file", f"train.configMap.content={tmp_path / 'training_config.yaml'}"],
        "name": ["--set", "train.configMap.name=ours", "--claim", f"ours={tmp_path}"],
    }[given]
    code, printed = run(tmp_path, *words)
    assert code == 0, printed
    (trained,) = (tmp_path / "workspace" / "runs").glob("one-*/train")
    assert json.loads((trained / "adapter" / "adapter_config.json").read_text())["r"] == 3
    record = json.loads((trained / "record.json").read_text())
    assert record["inputs"]["effective_batch_size"] == 8
    assert record["inputs"]["max_steps"] == 2, "the values win"


def test_a_named_configmap_without_a_folder_is_named_with_the_flag_to_add(tmp_path: Path) -> None:
    code, printed = run(tmp_path, "--set", "train.configMap.name=ours")
    assert code == 2
    assert "--claim ours=DIR" in printed
