"""From mini-trainer's checkpoint to a model that every program loads: chosen, fixed, checked."""

import json
import os
import re
import shutil
from contextlib import AbstractContextManager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from osft_train import weights
from osft_train.base import Base, loading, named
from osft_train.work import MODELS, Saved
from osft_workspace import Run, UserError, write_atomic
from osft_workspace.contents import Model
from osft_workspace.exits import StageError

CHECKPOINT = re.compile(r"samples_(\d+)(?:\.\d+)?(?:_\w+)?")
ROTARY = re.compile(r"rotary_emb\.(original_)?inv_freq$")
HEAD = "lm_head.weight"
VOCABULARY = ("embed_tokens.weight", HEAD, "wte.weight")
OWN_FILES = ("*.safetensors", "*.safetensors.index.json", "config.json")
"""What training makes; every other file is the base's, in its own bytes, because saving again rewrites it."""
OF_BASE_ONLY = ("README.md", ".gitattributes")
"""What is said of the base and would be wrong of the tuned model."""
DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def candidates(checkpoints: Path, saved: Saved = MODELS) -> list[tuple[int, Path]]:
    """Saved models by the number of rows that they have seen; those without weights are passed over."""
    found = []
    for path in sorted((checkpoints / saved.folder).glob("samples_*")):
        name = CHECKPOINT.fullmatch(path.name)
        if name and (path / saved.mark).is_file():
            try:
                weights.files(path)
            except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):  # or no index
                continue
            found.append((int(name[1]), path))
    return sorted(found)


def choose(checkpoints: Path, saved: Saved = MODELS) -> Path | None:
    """The model that has seen the most rows, by number: times and endings of names say nothing about that."""
    found = candidates(checkpoints, saved)
    return found[-1][1] if found else None


def samples(checkpoints: Path, saved: Saved) -> int:
    """Rows that the chosen model has seen; 0 where none was saved."""
    found = candidates(checkpoints, saved)
    return found[-1][0] if found else 0


def fix(run: Run, folder: Path, base: Base) -> None:
    """Make a saved model what other programs expect, and what its base is but for the weights.

    mini-trainer keeps buffers that vLLM refuses and a second name for tied embeddings, sets special tokens
    and other settings of the configuration by the tokenizer, and saves the tokenizer again.

    Raises:
        UserError: its files cannot be read.
        StageError: the output layer should equal the embeddings and does not.
    """
    with readable(folder):
        extra = surplus(folder, base)
        weights.leave_out(folder, extra)
        write_atomic(folder / "config.json", json.dumps(config_of(folder, base), indent=2) + "\n")
    take_from_base(folder, base)
    for path in folder.rglob("*"):
        path.chmod(0o775 if path.is_dir() else 0o664)  # the weights come readable for one uid only
    run.event("saved model cleaned", tensors_left_out=len(extra), path=folder.name)


def surplus(folder: Path, base: Base) -> list[str]:
    """Return the names of tensors that other programs do not take. Raises StageError: see `fix`."""
    found = weights.tensors(folder)
    extra = [name for name in found if ROTARY.search(name)]
    if HEAD in found and HEAD not in weights.tensors(base.path):
        embedding = next((name for name in found if name.endswith("embed_tokens.weight")), None)
        if embedding is None or not weights.same_bytes(found[HEAD], found[embedding]):
            raise StageError(
                f"the config ties {HEAD} to {embedding}, and training made them different: leaving one out "
                "would lose what it learned. This is a fault of mini-trainer with this model."
            )
        extra.append(HEAD)
    return extra


def config_of(folder: Path, base: Base) -> dict[str, Any]:
    """Return the base's configuration with what training changes: number format and rows of the embeddings.

    Of a model of text and images only the language model is saved, whose configuration is another one.
    """
    saved: dict[str, Any] = json.loads((folder / "config.json").read_text())
    if saved.get("model_type") != base.config.get("model_type"):
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "use_cache"):
            if name in base.text_config:
                saved[name] = base.text_config[name]
        return saved
    config = dict(base.config)
    tuned, given = weights.tensors(folder), weights.tensors(base.path)
    for name, tensor in tuned.items():
        if name.endswith(VOCABULARY) and name in given and tensor.shape[0] != given[name].shape[0]:
            config["vocab_size"] = tensor.shape[0]
    formats, before = ({tensor.dtype for tensor in found.values()} for found in (tuned, given))
    if formats != before and len(formats) == 1:
        config.pop("torch_dtype", None)
        config["dtype"] = DTYPES.get(formats.pop(), config.get("dtype"))
    return config


def take_from_base(folder: Path, base: Base) -> None:
    """Put the base's tokenizer, templates, generation settings and the like into a saved model."""

    def own(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in OWN_FILES)

    for path in list(folder.iterdir()):
        if path.is_dir():
            shutil.rmtree(path)
        elif not own(path.name):
            path.unlink()
    for path in base.path.iterdir():
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif not own(path.name) and path.name not in OF_BASE_ONLY:
            shutil.copyfile(path, folder / path.name)


def check(folder: Path, base: Base) -> Model:
    """Return the size of the model, once it is known to be whole.

    Raises:
        UserError: a weight is not a number, or a file cannot be read.
        StageError: it is not the base's shape, or its parts do not fit together.
    """
    with readable(folder):
        check_shapes(folder, base)
        check_finite(folder)
        check_loads(folder, base)
        return facts(folder)


def check_adapter(folder: Path) -> Model:
    """Return the size of an adapter.

    Raises:
        UserError: a weight is not a number, or a file cannot be read.
    """
    with readable(folder):
        check_finite(folder)
        return facts(folder)


def facts(folder: Path) -> Model:
    """Return the size of a folder of weights."""
    found = weights.tensors(folder)
    return {
        "parameters": weights.parameters(found),
        "dtype": "/".join(sorted({tensor.dtype for tensor in found.values()})),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }


def readable(folder: Path) -> AbstractContextManager[None]:
    """As `named`, while a saved model is read: its files may have been damaged after they were saved."""
    return named(
        f"the tuned model in {folder} cannot be read",
        "Its files are damaged. Remove the folder checkpoints of the train stage, then start again: the "
        "training is done again.",
    )


def check_shapes(folder: Path, base: Base) -> None:
    """Compare with the base; only the vocabulary may have grown.

    Tensors of the base that the architecture does not take are not in the tuned model; `check_loads` says
    whether one is missing.

    Raises:
        StageError: a tensor has another shape.
    """
    tuned, given = weights.tensors(folder), weights.tensors(base.path)
    other = [
        f"{name} {tuned[name].shape} instead of {tensor.shape}"
        for name, tensor in given.items()
        if name in tuned
        and tuned[name].shape != tensor.shape
        and not (name.endswith(VOCABULARY) and tuned[name].shape[0] > tensor.shape[0])
    ]
    if other:
        raise StageError(f"the tuned model has {', '.join(other[:4])}: it was not saved completely.")


def check_finite(folder: Path) -> None:
    """Raise UserError when any weight is infinite or not a number; one tensor is in memory at a time."""
    import torch
    from safetensors import safe_open

    for path in weights.files(folder):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                tensor = file.get_tensor(name)
                if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                    raise UserError(
                        f"{name} of the tuned model holds values that are not finite: training diverged. "
                        "Lower train.learningRate."
                    )


def check_loads(folder: Path, base: Base) -> None:
    """Let transformers load it, without memory for the weights, and read the tokenizer.

    Raises:
        StageError: a weight would be missing or not fit.
    """
    from transformers import AutoTokenizer

    missing, unexpected = loading(folder, trust_remote_code=base.trust_remote_code)
    if missing:
        raise StageError(
            f"the tuned model would load without {', '.join(missing[:4])}: it was not saved completely."
        )
    left_over = [name for name in unexpected if name != HEAD and not ROTARY.search(name)]
    if left_over:
        raise StageError(
            f"the tuned model holds tensors that belong to no layer: {', '.join(left_over[:4])}."
        )
    AutoTokenizer.from_pretrained(folder, trust_remote_code=base.trust_remote_code)


def link_tree(source: Path, target: Path) -> None:
    """A copy of a folder that takes no room where the file system has hard links."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:  # a file system without them
            shutil.copy2(one, other)

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=link)
