"""download's table of architectures against the models that transformers builds, for every type in it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.sandbox import ROOT, executable

COMPARE = """
import json, sys
import torch
from osft_plan.layouts import LAYOUTS, expected
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, vocab_size=50, pad_token_id=0, bos_token_id=1, eos_token_id=2)
BIASES = ("attention_bias", "attention_out_bias", "mlp_bias", "use_bias")
told = {}
SETTINGS = ({"head_dim": 16}, {"head_dim": 24}, dict.fromkeys(BIASES, True), dict.fromkeys(BIASES, False))
for kind in LAYOUTS:
    for more in SETTINGS:
        config = AutoConfig.for_model(kind, **SIZES, **{"head_dim": 16, **more})
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        theirs = {name: list(weight.shape) for name, weight in model.state_dict().items()}
        theirs = {name: shape for name, shape in theirs.items() if not name.startswith("lm_head.")}
        ours = {"model." + name: list(shape) for name, shape in expected(config).items()}
        wrong = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
        told[f"{kind} {json.dumps(more)}"] = sorted(wrong)
json.dump(told, sys.stdout)
"""


@pytest.fixture(scope="module")
def differences() -> dict[str, list[str]]:
    """Tensors that the table and transformers name differently, by type and settings."""
    python = str(Path(executable("train")).with_name("python"))
    path = f"{ROOT}/images/plan:{ROOT}/images/workspace"
    done = subprocess.run(
        [python, "-c", COMPARE],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_the_table_names_what_transformers_builds(differences: dict[str, list[str]]) -> None:
    assert {name: wrong for name, wrong in differences.items() if wrong} == {}


def test_the_common_decoders_are_in_the_table(differences: dict[str, list[str]]) -> None:
    kinds = {name.split()[0] for name in differences}
    assert {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3"} <= kinds
    assert {"granite", "smollm3", "glm", "glm4", "olmo2"} <= kinds
