"""The base model as its folder describes it, never by its name or path, which mini-trainer looks at."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osft_train import weights
from osft_workspace import Run, UserError
from osft_workspace.contents import BaseModel
from osft_workspace.exits import StageError
from osft_workspace.model_sizes import read_config
from osft_workspace.text import sentence


@dataclass(frozen=True, slots=True)
class Base:
    """The base model in the workspace's cache."""

    path: Path
    config: dict[str, Any]
    facts: BaseModel
    """What download recorded."""
    trust_remote_code: bool

    @classmethod
    def load(cls, run: Run, *, trust_remote_code: bool) -> "Base":
        """Return the model that download staged for this run.

        Raises:
            UserError: it has no safetensors, or its weights do not fit the model that would be built.
        """
        download = run.predecessors["download"]
        facts = download.details["model"]
        path = download.shared_path(run.workspace.root, facts["path"])
        try:
            weights.files(path)
        except FileNotFoundError as error:
            raise UserError(
                f"the base model {facts.get('uri', path)} has no weights as safetensors, which training "
                "reads. Save it again with save_pretrained, or choose another (model.uri)."
            ) from error
        config = read_config(path, f"the base model {facts.get('uri', path)}")
        base = cls(path, config, facts, trust_remote_code)
        hold(run, base)
        return base

    @property
    def text_config(self) -> dict[str, Any]:
        """The language model's part of the configuration."""
        return dict(self.config.get("text_config") or self.config)

    @property
    def model_type(self) -> str:
        """What transformers calls the architecture, such as `qwen2`."""
        return str(self.config.get("model_type", ""))

    @property
    def where(self) -> str:
        """What it is called in sentences."""
        return f"the base model {self.facts.get('uri', self.path)}"


def hold(run: Run, base: Base) -> None:
    """Check the weights against the model that transformers builds from its configuration, without memory.

    Download has compared names and shapes with a table; this is exact, and it is before the first step.

    Raises:
        UserError: weights are missing, would be filled with random numbers, or have another shape.
    """
    where = base.where
    if base.text_config.get("quantization_config") or base.config.get("quantization_config"):
        raise UserError(
            f"{where} is quantized (quantization_config in config.json), and tuning needs weights in "
            "float16, bfloat16 or float32. Name the model that it was quantized from (model.uri)."
        )
    with building(where):
        missing, ignored = loading(base.path, trust_remote_code=base.trust_remote_code)
    if missing:
        raise UserError(
            f"{where} lacks {len(missing)} weights of its architecture ({base.model_type}): "
            f"{', '.join(missing[:4])}. Without them training would begin with random numbers. Download the "
            "model again, save it again with save_pretrained, or choose another (model.uri)."
        )
    if ignored:
        run.event(
            "tensors that this architecture does not take are ignored",
            tensors=len(ignored),
            names=", ".join(ignored[:4]),
        )


@contextmanager
def named(what: str, remedy: str) -> Iterator[None]:
    """Turn what a library raises over a model's files into a sentence; it names no types for that.

    Raises:
        UserError: `what`, the cause, then `remedy`. Memory that ran out and disks that cannot be read stay
            what they are.
    """
    try:
        yield
    except (StageError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        cause = f"{type(error).__name__}: {sentence(error, 400).rstrip('.')}"
        raise UserError(f"{what} ({cause}). {remedy}") from error


def building(where: str) -> AbstractContextManager[None]:
    """As `named`, while transformers builds a model."""
    remedy = "Use the config.json that belongs to these weights, or choose another model (model.uri)."
    return named(f"{where} does not fit its config.json", remedy)


def loading(path: Path, *, trust_remote_code: bool) -> tuple[list[str], list[str]]:
    """Return the weights that loading a folder would miss, and those it would leave over.

    Raises:
        UserError: mini-trainer knows no class for it.
        Exception: of any type, where transformers cannot build the model or a weight does not fit.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    kind = model_class(path, trust_remote_code=trust_remote_code)
    _, told = kind.from_pretrained(
        path, device_map="meta", output_loading_info=True, trust_remote_code=trust_remote_code
    )
    return sorted(told["missing_keys"]), sorted(told["unexpected_keys"])


def model_class(path: Path, *, trust_remote_code: bool, whole: bool = True) -> Any:
    """Return the class that mini-trainer loads a folder with.

    Args:
        whole: for a model of text and images the class of the whole, not of its language model.

    Raises:
        UserError: mini-trainer knows no class for it.
    """
    from mini_trainer.utils import get_model_class_from_config
    from mini_trainer.vlm_utils import is_vlm_for_direct_loading, is_vlm_with_causal_lm
    from transformers import AutoConfig, AutoModelForImageTextToText

    register_own_classes(path, trust_remote_code=trust_remote_code)
    config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    if whole and (is_vlm_with_causal_lm(config) or is_vlm_for_direct_loading(config)):
        return AutoModelForImageTextToText
    try:
        return get_model_class_from_config(str(path))
    except ValueError as error:
        raise UserError(
            f"the base model's type {config.model_type!r} cannot be tuned by mini-trainer: {error}. "
            "Choose another base model (model.uri)."
        ) from error


def register_own_classes(path: Path, *, trust_remote_code: bool) -> None:
    """Let mini-trainer find the class of a trusted model: it looks in transformers' table only."""
    if not trust_remote_code:
        return
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    config = AutoConfig.from_pretrained(path, trust_remote_code=True)
    reference = (getattr(config, "auto_map", None) or {}).get("AutoModelForCausalLM")
    if reference and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        kind = get_class_from_dynamic_module(reference, str(path))
        AutoModelForCausalLM.register(type(config), kind)


def empty_model(path: Path, *, trust_remote_code: bool) -> Any:
    """Return the model that mini-trainer would load from a folder, without weights.

    Raises:
        UserError: mini-trainer knows no class for it.
    """
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    kind = model_class(path, trust_remote_code=trust_remote_code, whole=False)
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


def target_matrices(run: Run, base: Base, patterns: list[str]) -> list[tuple[int, int]]:
    """Return the shapes of the matrices that will be decomposed.

    Raises:
        UserError: a pattern matches no matrix, or transformers cannot build the model.
    """
    with building(base.where):
        model = empty_model(base.path, trust_remote_code=base.trust_remote_code)
    matrices = {name: weight.shape for name, weight in model.named_parameters() if weight.ndim == 2}
    unused = [pattern for pattern in patterns if not any(pattern in name for name in matrices)]
    if unused:
        raise UserError(
            f"target pattern {', '.join(unused)} is in no weight matrix of the base model "
            f"({base.model_type}). Its matrices are named like {', '.join(list(matrices)[:8])}: set "
            "train.targetPatterns (--target-patterns) to parts of such names."
        )
    chosen = {name: shape for name, shape in matrices.items() if any(part in name for part in patterns)}
    free = [name for name in matrices if name not in chosen]
    run.event("weight matrices", protected=len(chosen), free=len(free), free_names=",".join(free[:4]) or None)
    return [(rows, columns) for rows, columns in chosen.values()]
