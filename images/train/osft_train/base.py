"""The base model as its folder tells it: never by its name or path, which mini-trainer goes by."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osft_train import weights
from osft_workspace import Run, UserError


@dataclass(frozen=True, slots=True)
class Base:
    """The base model in the workspace's cache."""

    path: Path
    config: dict[str, Any]
    facts: dict[str, Any]
    """What download recorded: uri, revision, digest, path and more."""
    trust_remote_code: bool

    @classmethod
    def load(cls, run: Run, *, trust_remote_code: bool) -> "Base":
        """The model that download staged for this run. Raises UserError for one without safetensors."""
        facts = run.predecessors["download"].details["model"]
        path = run.workspace.root / facts["path"]
        try:
            weights.files(path)
        except FileNotFoundError as error:
            raise UserError(
                f"the base model {facts.get('uri', path)} has no weights as safetensors, which training "
                "reads. Save it again with save_pretrained, or choose another (model.uri)."
            ) from error
        return cls(path, json.loads((path / "config.json").read_text()), facts, trust_remote_code)

    @property
    def text_config(self) -> dict[str, Any]:
        """The language model's part of the configuration."""
        return dict(self.config.get("text_config") or self.config)

    @property
    def model_type(self) -> str:
        """What transformers calls the architecture, such as `qwen2`."""
        return str(self.config.get("model_type", ""))


def empty_model(path: Path, *, trust_remote_code: bool) -> Any:
    """The model that mini-trainer would load from a folder, without weights.

    Raises:
        UserError: mini-trainer knows no class for it.
    """
    import torch
    from mini_trainer.utils import get_model_class_from_config
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    try:
        kind = get_model_class_from_config(str(path))
    except ValueError as error:
        raise UserError(
            f"the base model's type {config.model_type!r} is none that mini-trainer can tune: {error}. "
            "Choose another base model (model.uri)."
        ) from error
    if not isinstance(config, kind.config_class):
        config = config.text_config
    with torch.device("meta"):
        return kind._from_config(config)


def target_patterns(run: Run, base: Base, wanted: list[str]) -> list[str]:
    """Parts of the names of the matrices to decompose, and how many that makes.

    mini-trainer would choose them by looking for `opt`, `phi3`, `gpt2` ... anywhere in the model's path; a
    folder named `optimum` is enough to leave most of a Qwen model unprotected. The model's type decides here.

    Raises:
        UserError: a pattern matches nothing.
    """
    if wanted:
        return wanted
    from mini_trainer.osft_utils import get_model_patterns

    patterns = [str(pattern) for pattern in get_model_patterns(base.model_type.replace("_", "-"))]
    run.choice("target_patterns", ",".join(patterns), f"model type {base.model_type}")
    return patterns


def count_targets(run: Run, base: Base, patterns: list[str]) -> int:
    """How many matrices will be decomposed.

    Raises:
        UserError: a pattern matches no matrix.
    """
    model = empty_model(base.path, trust_remote_code=base.trust_remote_code)
    matrices = [name for name, weight in model.named_parameters() if weight.ndim == 2]
    unused = [pattern for pattern in patterns if not any(pattern in name for name in matrices)]
    if unused:
        raise UserError(
            f"target pattern {', '.join(unused)} is in no weight matrix of the base model "
            f"({base.model_type}). Its matrices are named like {', '.join(matrices[:8])}: set "
            "train.targetPatterns (--target-patterns) to parts of such names."
        )
    chosen = [name for name in matrices if any(pattern in name for pattern in patterns)]
    free = [name for name in matrices if name not in chosen]
    run.event("weight matrices", protected=len(chosen), free=len(free), free_names=",".join(free[:4]) or None)
    return len(chosen)
