"""Adapters put into the base model's weights: a plain model folder, made file by file.

W' = W + s B A, and with DoRA each row of that scaled to the length that was learned (arXiv 2106.09685,
2402.09353). It is computed in float32 and rounded once. Memory: one weight file.
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

from osft_train import weights
from osft_train.adapters import CONFIG, PREFIX, WEIGHTS, saved
from osft_train.base import Base
from osft_workspace import Run, write_atomic


def merge_all(run: Run, checkpoints: Path, base: Base, dtype: str | None) -> None:
    """Make a model folder of every saved adapter that has none yet.

    Args:
        dtype: number format of the model; None: that of the base model.
    """
    for adapter in saved(checkpoints):
        target = checkpoints / "hf_format" / adapter.name
        if not (target / "config.json").is_file():
            run.event("merging the adapter into the base model", adapter=adapter.name)
            merge(adapter, base.path, target, dtype)


def merge(adapter: Path, base: Path, target: Path, dtype: str | None) -> None:
    """Write a model folder: the base model's files, with the adapter in its weights."""
    import torch
    from safetensors.torch import load_file, save_file

    learned = Learned(adapter)
    target.mkdir(parents=True, exist_ok=True)
    for file in weights.files(base):
        kind = getattr(torch, dtype) if dtype else None
        tensors = {name: learned.applied(name, weight, kind) for name, weight in load_file(file).items()}
        save_file(tensors, target / file.name, metadata={"format": "pt"})
    if (base / weights.INDEX).is_file():
        shutil.copyfile(base / weights.INDEX, target / weights.INDEX)
    shutil.copyfile(base / "config.json", target / "config.json")  # last: it says that the folder is whole


def publish(adapter: Path, target: Path, base: Base) -> None:
    """Add an adapter to the result, which names the base model that it belongs to."""
    target.mkdir(exist_ok=True)
    config = json.loads((adapter / CONFIG).read_text())
    config["base_model_name_or_path"] = str(base.facts["uri"]).removeprefix("hf://")
    # PEFT writes whole names where it chose the layers itself; servers look for their ends.
    names = (name.partition(".lora_A")[0] for name in Learned(adapter).tensors if ".lora_A" in name)
    config["target_modules"] = sorted({name.rpartition(".")[2] for name in names})
    write_atomic(target / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.copyfile(adapter / WEIGHTS, target / WEIGHTS)


class Learned:
    """The tensors of an adapter in PEFT's layout."""

    def __init__(self, adapter: Path) -> None:
        from safetensors.torch import load_file

        config = json.loads((adapter / CONFIG).read_text())
        self.scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config["use_rslora"] else config["r"])
        self.turned = bool(config["fan_in_fan_out"])
        self.tensors = {
            name.removeprefix(PREFIX).replace(".base_layer.", "."): tensor
            for name, tensor in load_file(adapter / WEIGHTS).items()
        }

    def applied(self, name: str, weight: Any, dtype: Any) -> Any:
        """Return a tensor of the base model as the adapter changes it, in a number format or in its own."""
        kind = dtype if dtype and weight.is_floating_point() else weight.dtype
        module = name.removesuffix(".weight")
        first = self.tensors.get(f"{module}.lora_A.weight")
        if first is None:
            return self.tensors.get(name, weight).to(kind)
        delta = self.scale * (self.tensors[f"{module}.lora_B.weight"].float() @ first.float())
        whole = weight.float() + (delta.T if self.turned else delta)
        length = self.tensors.get(f"{module}.lora_magnitude_vector")
        if length is not None:
            rows = 0 if self.turned else 1
            whole *= length.float().unsqueeze(rows) / whole.norm(dim=rows, keepdim=True)
        return whole.to(kind).contiguous()
