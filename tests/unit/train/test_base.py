"""What transformers raises while it builds the base model, and what download believes that it takes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.model_folders import edit, write_llama
from tests.support.sandbox import ROOT, executable

BUILD = """
import json, sys
from pathlib import Path
from osft_download.base_model.values import ACTIVATIONS, DTYPES, ROPE_TYPES
from osft_train.base import Base, hold, target_matrices
from osft_workspace.exits import StageError
from transformers.activations import ACT2FN
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

class Quiet:
    def event(self, *args, **values): pass

ends = {}
for folder in sys.argv[1:]:
    config = json.loads(Path(folder, "config.json").read_text())
    base = Base(Path(folder), config, {"uri": folder}, False)
    for name, action in (("hold", hold), ("count", lambda run, base: target_matrices(run, base, ["q_proj"]))):
        try:
            action(Quiet(), base)
        except StageError as error:
            ends[f"{Path(folder).name} {name}"] = [error.exit_code, error.message]
        except Exception as error:
            ends[f"{Path(folder).name} {name}"] = [1, repr(error)]
        else:
            ends[f"{Path(folder).name} {name}"] = [0, ""]
tables = {
    "activations": [sorted(ACTIVATIONS), sorted(ACT2FN)],
    "rope types": [sorted(ROPE_TYPES), sorted([*ROPE_INIT_FUNCTIONS, "default"])],
}
json.dump({"ends": ends, "tables": tables}, sys.stdout)
"""
FOLDERS: dict[str, tuple[dict[str, Any], str]] = {
    "activation": ({"hidden_act": "nonsense"}, "KeyError"),
    "rotary": ({"rope_parameters": {"rope_type": "nonsense", "rope_theta": 1e4}}, "KeyError"),
    "padding": ({"pad_token_id": 99999}, "AssertionError"),
    "format": ({"dtype": "float7"}, "float7"),
    "part": ({"text_config": {"model_type": "llama"}}, "AttributeError"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the stage's own Python says of every folder, and its tables."""
    base = tmp_path_factory.mktemp("models")
    for name, (values, _) in FOLDERS.items():
        change: Callable[[Any], object] = lambda value, values=values: value.update(values)  # noqa: E731
        edit(write_llama(base / name) / "config.json", change)
    write_llama(base / "good")
    parts = ("workspace", "rows", "plan", "download", "train")
    paths = ":".join(f"{ROOT}/images/{part}" for part in parts)
    done = subprocess.run(
        [str(Path(executable("train")).with_name("python")), "-c", BUILD, *map(str, base.iterdir())],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": paths, "HOME": str(base), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("step", ["hold", "count"])
@pytest.mark.parametrize("name", list(FOLDERS))
def test_a_model_that_cannot_be_built_ends_with_a_message(told: dict[str, Any], name: str, step: str) -> None:
    code, said = told["ends"][f"{name} {step}"]
    assert code == 2, said
    assert "does not fit its config.json (" in said and "Use the config.json that belongs" in said
    assert FOLDERS[name][1] in said


@pytest.mark.parametrize("step", ["hold", "count"])
def test_a_whole_model_is_built(told: dict[str, Any], step: str) -> None:
    assert told["ends"][f"good {step}"] == [0, ""]


@pytest.mark.parametrize("table", ["activations", "rope types"])
def test_download_knows_what_transformers_knows(told: dict[str, Any], table: str) -> None:
    ours, theirs = told["tables"][table]
    assert ours == theirs
