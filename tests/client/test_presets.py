"""`--preset`: the chart's values for a model and its GPU, by a short name."""

import json
import struct
from pathlib import Path

import pytest
import yaml

from tests.client.local.support import OSFT, ROOT, call

PRESETS = sorted((ROOT / "charts" / "osft-pipeline" / "presets").glob("*.yaml"))
MODELS = Path(__file__).parent / "models"
"""What config.json of each base model says of its sizes, from the models' own pages."""
CARDS = {"24gb": 24, "48gb": 48, "80gb": 80, "8x80gb": 80}


def dry_run(*words: str | Path) -> str:
    done = call(OSFT, "run", "one", "--local", "--dry-run", *words, "--set", "data.uri=hf://a/b")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_preset_is_below_the_users_own_values(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("train: {epochs: 7, gpus: 0}\neval: {gpus: 0}\n")
    unlimited = ("--set", "preflight.training.gpuMemoryGiB=null")
    output = dry_run("-f", values, "--preset=falcon-7b-qlora-24gb", *unlimited)
    own, from_preset = ("--num-epochs=7", "--gpus=0"), ("--method=qlora", "--lora-r=64")
    assert all(word in output for word in ("hf://tiiuae/falcon-7b-instruct", *own, *from_preset))


def test_an_unknown_preset_is_refused_with_those_that_are_near() -> None:
    done = call(OSFT, "run", "one", "--preset", "qwen2.5-1.5b-24g", "--dry-run")
    assert done.returncode == 2
    assert "--preset qwen2.5-1.5b-24g is not a preset of this chart" in done.stderr
    assert "one of: qwen2.5-1.5b-24gb, qwen2.5-1.5b-48gb" in done.stderr


def test_help_lists_every_preset() -> None:
    page = "".join(call(OSFT, "run", "--help").stdout.split())
    assert all(path.stem in page for path in PRESETS)


def base_model(name: str, folder: Path) -> Path:
    """Return a folder with config.json, and the weights' header where config.json alone does not say them."""
    config = json.loads((MODELS / f"{name}.json").read_text())
    weights = {
        key.format(layer=layer): shape
        for key, shape in config.pop("weights", {}).items()
        for layer in range(config["num_hidden_layers"] if "{layer}" in key else 1)
    }
    (folder / "config.json").write_text(json.dumps(config))
    if weights:
        tensors = {key: {"dtype": "BF16", "shape": shape} for key, shape in weights.items()}
        header = json.dumps(tensors).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_the_longest_rows_that_a_preset_takes_fit_into_its_gpu_and_its_pods(
    path: Path, tmp_path: Path
) -> None:
    values = yaml.safe_load(path.read_text())
    train, workspace = values["train"], {"size": "100Gi", "minFreeGiB": 20} | values.get("workspace", {})
    model = base_model(values["model"]["uri"].rpartition("/")[2], tmp_path)
    rows = ("--rows=20000", f"--tokens-per-row={train['maxSequenceLength'] - 1}")
    done = call(OSFT, "plan", "--preset", path.stem, "--model", model, *rows, "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    gib = {name: plan[name] / 2**30 for name in ("memory_bytes", "host_memory_bytes", "disk_bytes")}
    pod = train.get("pod", {}).get("resources", {}).get("limits", {"memory": "32Gi"})["memory"]
    limit = float(pod.removesuffix("Gi"))
    size = path.stem.rpartition("-")[2]
    if size in CARDS:
        room = values["preflight"]["training"]["gpuMemoryGiB"]
        assert 0.9 * CARDS[size] <= room < CARDS[size]
        assert 0.6 * room < gib["memory_bytes"] <= 0.98 * room, "uses the card, and leaves a reserve"
        assert gib["host_memory_bytes"] < limit
    else:
        assert gib["memory_bytes"] < 0.9 * limit
    base = 2 * plan["parameters"] / 2**30
    assert gib["disk_bytes"] + base < workspace["minFreeGiB"] < float(workspace["size"].removesuffix("Gi"))
