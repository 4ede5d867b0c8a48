"""The file of train.configMap: what it sets, what wins over it, and what in it ends the start."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stages.train.conftest import Stage
from tests.support import warm
from tests.support.sandbox import ROOT, stage_env
from tests.support.tiny_model import chat_rows

SHIPPED = ROOT / "charts" / "osft-pipeline" / "examples" / "config-maps"
SETTINGS: dict[str, Any] = {
    "LoraConfig": {"r": 5, "lora_alpha": 7, "target_modules": ["q_proj", "v_proj"]},
    "TrainingArguments": {
        "output_dir": "/mnt/results",
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "num_train_epochs": 2.0,
        "learning_rate": "5e-4",
        "lr_scheduler_type": "constant",
        "weight_decay": None,
    },
    "DataCollator": {"mlm": True},
}


def file_of(stage: Stage, name: str, sections: dict[str, Any], comment: str = "") -> str:
    """Write a file of these sections; return the flag that names it."""
    path = stage.scratch / name
    path.write_text(comment + yaml.safe_dump({"training_config": sections}))
    return f"--training-config={path}"


def start(stage: Stage, run_id: str, *args: str) -> tuple[int, str]:
    """Start training without the learning rate that other tests give."""
    command = [word for word in stage.command(run_id, *args) if word != "--learning-rate=1e-3"]
    return warm.run(command, stage_env(stage.workspace, stage.scratch), seconds=280)


def adapter(stage: Stage, run_id: str) -> dict[str, Any]:
    return dict(json.loads((stage.dir(run_id) / "adapter" / "adapter_config.json").read_text()))


@pytest.fixture(scope="module")
def tuned(stage: Stage) -> str:
    """What a training by the file, with one option of its own, printed."""
    stage.download("kaito", chat_rows(32))
    words = (file_of(stage, "kaito.yaml", SETTINGS), "--lora-alpha=9", "--nproc-per-node=2")
    code, printed = start(stage, "kaito", *words)
    assert code == 0, printed
    return printed


def test_settings_of_the_file_train_and_an_option_wins_over_them(stage: Stage, tuned: str) -> None:
    config = adapter(stage, "kaito")
    assert (config["r"], sorted(config["target_modules"])) == (5, ["q_proj", "v_proj"])
    assert config["lora_alpha"] == 9, "given as an option"
    steps = stage.metrics("kaito")
    assert len(steps) == 8, "32 rows twice, in steps of 2 rows x 2 passes x 2 processes"
    assert {step["learning_rate"] for step in steps} == {5e-4}
    assert "values win over train.configMap lora_alpha=9" in tuned
    assert "keys=TrainingArguments.output_dir reason=" in tuned
    (digest,) = [choice for choice in stage.record("kaito")["choices"] if choice["name"] == "training_config"]
    assert digest["value"].startswith("sha256:")


def test_a_changed_comment_is_already_done_and_a_changed_setting_is_not(stage: Stage, tuned: str) -> None:
    words = ("--lora-alpha=9", "--nproc-per-node=2")
    code, printed = start(stage, "kaito", file_of(stage, "same.yaml", SETTINGS, "# Ours\n"), *words)
    assert code == 0 and "already done" in printed
    other = SETTINGS | {"LoraConfig": {**SETTINGS["LoraConfig"], "r": 3}}
    code, printed = start(stage, "kaito", file_of(stage, "other.yaml", other), *words, "--max-steps=1")
    assert code == 0, printed
    assert "inputs changed, running again changed=lora_r,max_steps" in printed
    assert adapter(stage, "kaito")["r"] == 3


@pytest.mark.parametrize(
    ("sections", "args", "method", "idle"),
    [
        ({"LoraConfig": {"r": 5}}, ["--method=sft"], "sft", "lora_r"),
        (
            {"QuantizationConfig": {"load_in_4bit": False, "bnb_4bit_quant_type": "fp4"},
             "LoraConfig": {"r": 8}},
            [], "lora", "quantization_type",
        ),
        ({"TrainingArguments": {"seed": 3}, "LoraConfig": None}, [], "osft", ""),
    ],
)  # fmt: skip
def test_settings_of_another_method_are_without_effect_and_logged(
    stage: Stage, sections: dict[str, Any], args: list[str], method: str, idle: str
) -> None:
    code, printed = start(stage, "nothing", file_of(stage, "method.yaml", sections), *args)
    assert code == 2 and "download" in printed, "of a run that has no rows"
    assert "is for --method" not in printed
    assert (f"options={idle} method={method}" in printed) == bool(idle)
    assert ("method=lora" in printed) == (method == "lora")


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_the_shipped_configmaps_train_with_their_method(stage: Stage, name: str) -> None:
    content = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())["data"]["training_config.yaml"]
    path = stage.scratch / f"{name}-shipped.yaml"
    path.write_text(content)
    words = (f"--training-config={path}", "--max-steps=2")
    stage.download(name, chat_rows(16), None, words[0])
    code, printed = start(stage, name, *words)
    assert code == 0, printed
    details = stage.record(name)["details"]
    assert details["method"] == name
    assert adapter(stage, name)["r"] == 8
    assert ("layers_in_4_bits=14" in printed) == (name == "qlora")


def test_every_problem_of_the_file_is_reported_at_once(stage: Stage) -> None:
    sections = {
        "LoraConfg": {},
        "ModelConfig": {"trust_remote_code": True, "chat_template": "{{ x }}"},
        "LoraConfig": {"alpha": 8, "r": 0, "init_lora_weights": "pissa", "seed": 1},
        "QuantizationConfig": {"load_in_8bit": True},
        "TrainingArguments": {"learning_rat": 1, "hub_token": "hf_secret", "optim": "lion_8bit"},
    }
    code, printed = start(stage, "nothing", file_of(stage, "wrong.yaml", sections))
    assert code == 2 and "Traceback" not in printed and "hf_secret" not in printed
    for said in (
        "has the section LoraConfg, expected ModelConfig, QuantizationConfig, LoraConfig, TrainingArguments, "
        "DataCollator, DatasetConfig (did you mean LoraConfig",
        "LoraConfig.alpha (train.configMap) is not a key of LoraConfig (did you mean lora_alpha?)",
        "LoraConfig.seed (train.configMap) is not a key of LoraConfig; TrainingArguments and "
        "DataCollator have it",
        "LoraConfig.r (train.configMap, for train.lora.r) is 0: 0 is not in the range x>=1",
        "LoraConfig.init_lora_weights (train.configMap) is pissa: adapters begin as PEFT begins them",
        "QuantizationConfig.load_in_8bit (train.configMap) is true: the base model is held in 16 bits",
        "TrainingArguments.learning_rat (train.configMap) is not a key of TrainingArguments (did you mean "
        "learning_rate",
        "TrainingArguments.hub_token (train.configMap) is not supported: the token of the hub is a Secret",
        "TrainingArguments.optim (train.configMap) is lion_8bit: AdamW of PyTorch trains here",
        "ModelConfig.trust_remote_code (train.configMap) is true: code that comes with a model "
        "runs only where",
        "ModelConfig.chat_template (train.configMap) is {{ x }}: the tokenizer's own template is used",
    ):
        assert said in printed, said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", "holds list, expected one mapping training_config with the sections ModelConfig,"),
        ("training_config: {}\nother: 1", "holds training_config, other, expected one mapping"),
        ("a: [", "is not YAML"),
        ("LoraConfig: {r: 1, r: 2}", "has r twice, expected each setting once"),
        ("a: &a [1]\nb: *a", "has aliases, expected each setting once, written in full"),
        ("LoraConfig: 3", "LoraConfig (train.configMap) is 3, expected a mapping of keys to values"),
        ("TrainingArguments: {num_train_epochs: 1.5}", "for train.epochs) is 1.5: expected a whole number"),
        ("TrainingArguments: {gradient_accumulation_steps: 2}", "give per_device_train_batch_size too"),
        ("QuantizationConfig: {load_in_4bit: maybe}", "for train.method) is maybe: expected true or false"),
    ],
)
def test_a_file_that_cannot_be_read_as_settings_is_refused(
    stage: Stage, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    code, printed = start(stage, "nothing", f"--training-config={tmp_path / 'settings.yaml'}")
    assert code == 2 and "Traceback" not in printed
    assert said in printed


def test_a_missing_file_names_the_value(stage: Stage) -> None:
    stage.refuses(
        "nothing", "--training-config=/nowhere.yaml", says="Create the ConfigMap train.configMap.name"
    )


KNOWN = """
import dataclasses, inspect
from peft import LoraConfig
from transformers import BitsAndBytesConfig, DataCollatorForLanguageModeling, TrainingArguments
from osft_workspace.training_keys import KEYS
from osft_workspace.training_reasons import WITHOUT
theirs = {
    "TrainingArguments": {field.name for field in dataclasses.fields(TrainingArguments)},
    "LoraConfig": {field.name for field in dataclasses.fields(LoraConfig)},
    "DataCollator": {field.name for field in dataclasses.fields(DataCollatorForLanguageModeling)},
    "QuantizationConfig": set(inspect.signature(BitsAndBytesConfig.__init__).parameters) - {"self", "kwargs"},
}
for section, names in theirs.items():
    assert len(names) > 5
    here, without = set(KEYS[section]), set(WITHOUT[section])
    print(section, sorted(names - here - without), sorted(here & without))
"""


def test_every_key_that_the_installed_libraries_take_is_known(stage: Stage) -> None:
    lines = [line for line in warm.output("train", KNOWN).splitlines() if line.endswith("]")]
    assert len(lines) == 4 and all(line.endswith("[] []") for line in lines), lines
