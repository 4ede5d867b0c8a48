"""Weights of a mix: written as the tuned model's folder is, file by file and tensor by tensor.

Everything is computed in float32 and rounded once to the tuned model's own number format. Memory: one weight
file, and one tensor of the base model.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osft_eval.weights import Weights

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
SCALED = ".lora_B."
"""Part of the names of tensors that an adapter's change is proportional to."""


class Unmixable(Exception):
    """Two models that have no mix, and why."""


def blend(base: Path, tuned: Weights, share: float, target: Path) -> None:
    """Write the folder of a mix; its config.json comes last and says that the folder is whole.

    Raises:
        Unmixable: the models have other tensors, or an adapter that is not a sum of low rank alone.
        OSError: the disk is full.
    """
    source = tuned.adapter or tuned.folder
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    last = ADAPTER_CONFIG if tuned.adapter else "config.json"
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix != ".safetensors" and path.name != last:
            shutil.copyfile(path, target / path.name)
    if tuned.adapter:
        scale_adapter(tuned.adapter, share, target)
    else:
        for file in files(source):
            write(dict(mixed(base, file, share)), target / file.name)
    shutil.copyfile(source / last, target / last)


def files(folder: Path) -> list[Path]:
    """Return the weight files of a model."""
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    return sorted({folder / name for name in weight_map(folder).values()})


def weight_map(folder: Path) -> dict[str, str]:
    """Return in which file each tensor of a model lies.

    Raises:
        Unmixable: the model has no safetensors files.
    """
    from safetensors import safe_open

    if (folder / WHOLE).is_file():
        with safe_open(folder / WHOLE, "pt") as file:
            return dict.fromkeys(file.keys(), WHOLE)
    if not (folder / INDEX).is_file():
        raise Unmixable(f"{folder.name} has no safetensors files")
    return dict(json.loads((folder / INDEX).read_text())["weight_map"])


def mixed(base: Path, file: Path, share: float) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of one of the tuned model's files, mixed with those of the base model."""
    from safetensors import safe_open

    places = weight_map(base)
    with safe_open(file, "pt") as tuned:
        for name in tuned.keys():  # noqa: SIM118  # it is not a dict
            new = tuned.get_tensor(name)
            if not new.is_floating_point():
                yield name, new
                continue
            if name not in places:
                raise Unmixable(f"the base model has no tensor {name}")
            with safe_open(base / places[name], "pt") as opened:
                old = opened.get_tensor(name)
            if old.shape != new.shape or not old.is_floating_point():
                raise Unmixable(
                    f"{name} has shape {list(new.shape)}, and {list(old.shape)} in the base model"
                )
            # Not lerp, which rounds its two ends differently.
            whole = old.float().mul_(1 - share).add_(new.float(), alpha=share)
            yield name, whole.to(new.dtype)


def scale_adapter(adapter: Path, share: float, target: Path) -> None:
    """Write the weights of an adapter whose change is that share of this one's."""
    from safetensors.torch import load_file

    config = json.loads((adapter / ADAPTER_CONFIG).read_text())
    if config.get("use_dora") or config.get("bias", "none") != "none":
        raise Unmixable("an adapter with DoRA or biases (train.lora) cannot be scaled without merging it")
    tensors = load_file(adapter / ADAPTER)
    scaled = {
        name: (share * value.float()).to(value.dtype) for name, value in tensors.items() if SCALED in name
    }
    write(tensors | scaled, target / ADAPTER)


def write(tensors: dict[str, Any], path: Path) -> None:
    """Write a weight file."""
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={"format": "pt"})
