"""From mini-trainer's checkpoint to a model that every program loads: chosen, mended, checked."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from osft_train import weights
from osft_train.base import Base
from osft_workspace import Run, UserError, write_atomic
from osft_workspace.exits import StageError

CHECKPOINT = re.compile(r"samples_(\d+)(?:\.\d+)?(?:_\w+)?")
ROTARY = re.compile(r"rotary_emb\.(original_)?inv_freq$")
HEAD = "lm_head.weight"
VOCABULARY = ("embed_tokens.weight", HEAD, "wte.weight")
FROM_BASE = (
    *("generation_config.json", "chat_template.jinja", "chat_template.json"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "preprocessor_config.json"),
)
"""Files that tuning does not change; the base's own bytes, because saving them again rewrites them."""
RESTORED = ("use_cache",)
"""Settings of config.json that mini-trainer changes for training."""


def candidates(checkpoints: Path) -> list[tuple[int, Path]]:
    """Saved models by the number of rows that they have seen; those without weights are passed over."""
    found = []
    for path in sorted((checkpoints / "hf_format").glob("samples_*")):
        name = CHECKPOINT.fullmatch(path.name)
        if name and (path / "config.json").is_file():
            try:
                weights.files(path)
            except FileNotFoundError:
                continue
            found.append((int(name[1]), path))
    return sorted(found)


def choose(checkpoints: Path) -> Path | None:
    """The model that has seen the most rows, by number: times and endings of names say nothing about that."""
    found = candidates(checkpoints)
    return found[-1][1] if found else None


def samples(checkpoints: Path) -> int:
    """Rows that the chosen model has seen; 0 where none was saved."""
    found = candidates(checkpoints)
    return found[-1][0] if found else 0


def mend(run: Run, folder: Path, base: Base) -> None:
    """Make a saved model what other programs expect.

    mini-trainer keeps buffers that vLLM refuses, a second name for tied embeddings, and settings of the
    training.

    Raises:
        StageError: the output layer should equal the embeddings and does not.
    """
    found = weights.tensors(folder)
    extra = [name for name in found if ROTARY.search(name)]
    config = json.loads((folder / "config.json").read_text())
    if HEAD in found and config.get("tie_word_embeddings"):
        embedding = next(name for name in found if name.endswith("embed_tokens.weight"))
        if not weights.same_bytes(found[HEAD], found[embedding]):
            raise StageError(
                f"the config ties {HEAD} to {embedding}, and training made them different: leaving one out "
                "would lose what it learned. This is a fault of mini-trainer with this model."
            )
        extra.append(HEAD)
    weights.leave_out(folder, extra)
    for name in RESTORED:
        if name in base.text_config:
            config[name] = base.text_config[name]
        else:
            config.pop(name, None)
    write_atomic(folder / "config.json", json.dumps(config, indent=2) + "\n")
    code = [path.name for path in base.path.glob("*.py")]  # of models that bring their own
    for name in (*FROM_BASE, *code):
        (folder / name).unlink(missing_ok=True)
        if (base.path / name).is_file():
            shutil.copyfile(base.path / name, folder / name)
    for path in folder.rglob("*"):
        path.chmod(0o775 if path.is_dir() else 0o664)  # the weights come readable for one uid only
    run.event("model mended", left_out=len(extra), path=folder.name)


def check(folder: Path, base: Base) -> dict[str, Any]:
    """What the model is, once it is known to be whole.

    Raises:
        UserError: a weight is not a number.
        StageError: it is not the base's shape, or its parts do not load.
    """
    check_shapes(folder, base)
    check_finite(folder)
    check_loads(folder, base)
    found = weights.tensors(folder)
    return {
        "parameters": weights.parameters(found),
        "dtype": "/".join(sorted({tensor.dtype for tensor in found.values()})),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }


def check_shapes(folder: Path, base: Base) -> None:
    """Compare with the base; only the vocabulary may have grown.

    Raises:
        StageError: a tensor is missing or has another shape.
    """
    tuned, wanted = weights.tensors(folder), weights.tensors(base.path)
    missing = [name for name in wanted if name not in tuned and name != HEAD and not ROTARY.search(name)]
    other = [
        f"{name} {tuned[name].shape} instead of {tensor.shape}"
        for name, tensor in wanted.items()
        if name in tuned
        and tuned[name].shape != tensor.shape
        and not (name.endswith(VOCABULARY) and tuned[name].shape[0] > tensor.shape[0])
    ]
    if missing or other:
        raise StageError(f"the tuned model lacks {missing[:4]} and has {other[:4]}: it was not saved whole.")


def check_finite(folder: Path) -> None:
    """Raises UserError when any weight is infinite or not a number; one tensor is in memory at a time."""
    import torch
    from safetensors import safe_open

    for path in weights.files(folder):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                tensor = file.get_tensor(name)
                if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                    raise UserError(
                        f"{name} of the tuned model holds values that are no numbers: training went astray. "
                        "Lower train.learningRate."
                    )


def check_loads(folder: Path, base: Base) -> None:
    """Let transformers load it, without memory for the weights, and read the tokenizer.

    Raises:
        StageError: a weight would be missing or not fit.
    """
    from mini_trainer.utils import get_model_class_from_config
    from transformers import AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    kind = get_model_class_from_config(str(folder))
    try:
        _, told = kind.from_pretrained(
            folder, device_map="meta", output_loading_info=True, trust_remote_code=base.trust_remote_code
        )
    except RuntimeError as error:
        raise StageError(f"the tuned model does not load: {error}") from error
    if told["missing_keys"]:
        raise StageError(f"the tuned model would load without {', '.join(sorted(told['missing_keys'])[:4])}.")
    left_over = sorted(name for name in told["unexpected_keys"] if name != HEAD and not ROTARY.search(name))
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
