"""The published model renders, stops and loads as its base does; what learned nothing is not published."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from osft_workspace.digests import tree_digest
from tests.stages.train.conftest import Stage
from tests.support import warm
from tests.support.model_folders import add_tensors, edit, write_json, write_llama, write_safetensors
from tests.support.tiny_model import CHAT_TEMPLATE, chat_rows
from tests.support.trained_run import tiny_model

ARGS = ("--effective-batch-size=8", "--num-epochs=1")
SURPLUS = {
    "model.layers.2.mlp.up_proj.weight": ("F32", (384, 128)),
    "model.layers.2.eh_proj.weight": ("F32", (128, 256)),
    "vision.proj": ("F32", (4, 4)),
}
"""A layer that predicts further tokens, and a part that sees: transformers takes neither."""
LOADS = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
told = []
for folder in sys.argv[1:]:
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    told.append({
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "default": tokenizer.apply_chat_template(turns, tokenize=False),
        "tool_use": tokenizer.apply_chat_template(turns, tokenize=False, chat_template="tool_use"),
        "special": str(tokenizer.special_tokens_map),
        "stops": model.generation_config.eos_token_id,
        "config": [model.config.eos_token_id, model.config.bos_token_id, model.config.pad_token_id],
    })
print(json.dumps(told))
"""


@dataclass
class Pair:
    """A base in the cache and the model that was tuned from it."""

    base: Path
    tuned: Path
    printed: str


def rich(target: Path) -> Path:
    """A model as hubs have them: more tensors than it takes, named templates, two ends, odd settings."""
    shutil.copytree(tiny_model() / "model", target)
    add_tensors(target / "model.safetensors", SURPLUS)
    write_safetensors(target / "mm_projector.safetensors", {"vision.other": ("F32", (4, 4))})
    (target / "chat_template.jinja").unlink()
    named = [
        {"name": "default", "template": CHAT_TEMPLATE},
        {"name": "tool_use", "template": "T" + CHAT_TEMPLATE},
    ]
    edit(target / "tokenizer_config.json", lambda value: value.update(chat_template=named))
    edit(target / "config.json", lambda value: value.update(eos_token_id=[2, 0], pad_token_id=None))
    # Cannot be saved again by transformers: a temperature without sampling.
    odd = {"eos_token_id": [2, 0], "temperature": 0.9, "top_p": 0.6, "do_sample": False}
    write_json(target / "generation_config.json", odd)
    write_json(target / "preprocessor_config.json", {"size": 4})
    return target


@pytest.fixture(scope="module")
def pair(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    model = rich(tmp_path_factory.mktemp("rich") / "model")
    stage.download("rich", chat_rows(16), model)
    code, printed = stage.run("rich", *ARGS)
    assert code == 0, printed
    record = json.loads((stage.workspace / "runs/rich/download/record.json").read_text())
    return Pair(stage.workspace / record["details"]["model"]["path"], stage.dir("rich") / "model", printed)


def test_tensors_that_the_architecture_does_not_take_do_not_fail_after_training(pair: Pair) -> None:
    ignored = "train tensors that this architecture does not take are ignored tensors=3"
    assert pair.printed.index(ignored) < pair.printed.index("train training step=")


def test_the_tuned_model_has_every_file_of_its_base_byte_for_byte(pair: Pair) -> None:
    names = {path.name for path in pair.base.iterdir()}
    assert names == {path.name for path in pair.tuned.iterdir()}
    assert {"generation_config.json", "preprocessor_config.json", "tokenizer_config.json"} <= names
    for name in names - {"model.safetensors", "config.json"}:
        assert (pair.tuned / name).read_bytes() == (pair.base / name).read_bytes(), name
    configs = [json.loads((folder / "config.json").read_text()) for folder in (pair.base, pair.tuned)]
    assert configs[0] == configs[1]


def test_the_tuned_model_renders_stops_and_loads_as_its_base(pair: Pair) -> None:
    printed = warm.output("train", LOADS, pair.base, pair.tuned)
    base, tuned = json.loads(printed.splitlines()[-1])
    assert base.pop("unexpected") == sorted(SURPLUS) and tuned.pop("unexpected") == []
    assert base == tuned
    assert (base["missing"], base["stops"]) == ([], [2, 0])
    assert base["tool_use"] == "T" + base["default"]


def test_a_training_that_changed_nothing_leaves_no_model(stage: Stage, tmp_path: Path) -> None:
    """All weights of this base are 0, and so are all its gradients."""
    stage.download("still", chat_rows(16), write_llama(tmp_path / "zeros"))
    code, printed = stage.run("still", *ARGS)
    assert code == 2, printed
    assert "changed no weight of the base model" in printed and "Raise train.learningRate" in printed
    assert not (stage.dir("still") / "model").exists()
    assert not (stage.dir("still") / "record.json").exists()


def test_weights_that_download_did_not_see_missing_are_named_before_the_first_step(stage: Stage) -> None:
    """A base that was cached by other means: the class that loads it is asked as well."""
    stage.download("gap", chat_rows(16))
    record = stage.workspace / "runs/gap/download/record.json"
    value = json.loads(record.read_text())
    whole = stage.workspace / value["details"]["model"]["path"]
    broken = whole.with_name("broken")
    shutil.copytree(whole, broken)
    edit(broken / "config.json", lambda config: config.update(num_hidden_layers=3))
    path = broken.relative_to(stage.workspace).as_posix()
    value["details"]["model"]["path"] = path
    value["shared"][path] = tree_digest(broken)
    write_json(record, value)
    code, printed = stage.run("gap", *ARGS)
    assert code == 2, printed
    assert "lacks 9 weights of its architecture (llama): model.layers.2.input_layernorm.weight" in printed
    assert not (stage.dir("gap") / "checkpoints").exists()
