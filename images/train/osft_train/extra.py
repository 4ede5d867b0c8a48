"""Further arguments of the backend: of a known name and of its type, or refused."""

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from types import NoneType
from typing import Any, get_args

from osft_workspace import UserError

DTYPES = ("float16", "bfloat16", "float32", "float64")
VALIDATION = ("validation_split", "validation_data_path")
TRIGGERS = (
    "validation_frequency", "validate_at_epoch", "min_samples_per_validation", "validate_at_final",
)  # fmt: skip
BACKEND_NAMES = {
    "model_name_or_path": "model.uri",
    "batch_size": "--effective-batch-size",
    "output_dir": "nothing: it is the run's folder",
    "num_warmup_steps": "--warmup-steps",
    "max_epochs": "--num-epochs",
    "use_liger_kernels": "--use-liger",
    "osft_unfreeze_rank_ratio": "--unfreeze-rank-ratio",
    "osft_target_patterns": "--target-patterns",
    "on_demand_checkpointing": "--enable-jit-checkpoint",
    "resume_from_full_state_checkpoint": "nothing: a start resumes by itself",
    "pretraining_config": "--is-pretraining and --block-size",
    "callbacks": "nothing: classes cannot be given as values",
    "data_path": "data.uri",
    "model_path": "model.uri",
    "ckpt_output_dir": "nothing: it is the run's folder",
    "use_processed_dataset": "nothing: the rows tell",
}
"""Arguments that have another name here, and that name."""


def known_fields() -> dict[str, Any]:
    """Every argument that can reach the worker -> its type, from what is installed."""
    from mini_trainer.training_types import TrainingArgs

    return {item.name: item.type for item in fields(TrainingArgs)}


def check_extra(extra: Mapping[str, Any], signature: inspect.Signature) -> dict[str, Any]:
    """The further arguments, each of a known name and of its type.

    Raises:
        UserError: a name that would be dropped silently, or that a flag sets, or a value of another type.
    """
    known = known_fields()
    checked = {}
    for name, value in extra.items():
        if name in BACKEND_NAMES:
            raise UserError(f"--extra (train.extraArgs) names {name}: use {BACKEND_NAMES[name]}.")
        if name in signature.parameters:
            raise UserError(
                f"--extra (train.extraArgs) names {name}: it has its own flag, --{name.replace('_', '-')}."
            )
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *signature.parameters], n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(
                f"--extra (train.extraArgs) names {name}, which the installed mini-trainer does not know "
                "and would "
                f"ignore.{hint} Known: {', '.join(sorted(set(known) - set(BACKEND_NAMES)))}."
            )
        checked[name] = of_type(name, value, known[name])
    if any(checked.get(name) for name in VALIDATION) and not any(checked.get(name) for name in TRIGGERS):
        raise UserError(
            f"validation rows are given and nothing says when to use them: set one of {', '.join(TRIGGERS)}."
        )
    return checked


def of_type(name: str, value: Any, wanted: Any) -> Any:
    """The value in the type of its field; whole numbers serve as decimals.

    Raises:
        UserError: it is of another type, or no name of a number format.
    """
    kinds = [
        kind for kind in get_args(wanted) or (wanted,) if isinstance(kind, type) and kind is not NoneType
    ]
    if name.endswith("_dtype") and value not in DTYPES:
        raise UserError(f"--extra (train.extraArgs) gives {name} as {value!r}, expected {', '.join(DTYPES)}.")
    if float in kinds and type(value) is int:
        return float(value)
    if any(issubclass(kind, Enum) and value in [item.value for item in kind] for kind in kinds):
        return value
    if kinds and type(value) not in kinds:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise UserError(f"--extra (train.extraArgs) gives {name} as {value!r}, expected {names}.")
    return value
