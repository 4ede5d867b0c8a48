"""Further arguments of the backend: of a known name and of its type, or refused."""

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from types import NoneType
from typing import Any, get_args

DTYPES = ("float16", "bfloat16", "float32", "float64")
VALIDATION = ("validation_split", "validation_data_path")
TRIGGERS = (
    "validation_frequency", "validate_at_epoch", "min_samples_per_validation", "validate_at_final",
)  # fmt: skip
NEEDS = {
    **dict.fromkeys((*TRIGGERS, "save_best_val_loss"), VALIDATION),
    "val_loss_improvement_threshold": ("save_best_val_loss",),
}
"""Arguments that do nothing unless one of others is given."""
MODES = ("epoch", "token")
"""Training modes that can be given: the number of steps is train.maxSteps, and infinite never ends."""
BACKEND_NAMES = {
    "model_name_or_path": "model.uri",
    "batch_size": "--effective-batch-size",
    "output_dir": "nothing: it is the run's folder",
    "num_warmup_steps": "--warmup-steps",
    "max_epochs": "--num-epochs",
    "max_steps": "--max-steps (train.maxSteps)",
    "use_liger_kernels": "--use-liger",
    "osft": "--method (train.method)",
    "osft_unfreeze_rank_ratio": "--unfreeze-rank-ratio",
    "osft_target_patterns": "--target-patterns",
    "on_demand_checkpointing": "--enable-jit-checkpoint",
    "resume_from_full_state_checkpoint": "nothing: a start resumes by itself",
    "pretraining_config": "--is-pretraining and --block-size",
    "callbacks": "nothing: classes cannot be given as values",
    "data_path": "data.uri",
    "model_path": "model.uri",
    "ckpt_output_dir": "nothing: it is the run's folder",
    "use_processed_dataset": "nothing: it follows from the rows",
}
"""Arguments that have another name here, and that name."""


def known_fields() -> dict[str, Any]:
    """Return every argument that can reach the worker -> its type, from what is installed."""
    from mini_trainer.training_types import TrainingArgs

    return {item.name: item.type for item in fields(TrainingArgs)}


def check_extra(extra: Mapping[str, Any], signature: inspect.Signature) -> tuple[dict[str, Any], list[str]]:
    """Return the further arguments in the types of their fields, and what is wrong with any of them.

    An unknown name would be ignored silently, and one that a flag also sets would win or lose silently.
    """
    known = known_fields()
    checked, problems = {}, []
    for name, value in extra.items():
        problem = name_problem(name, known, signature)
        if name == "training_mode":
            checked[name] = value
        elif not problem:
            checked[name], problem = of_type(name, value, known[name])
        if problem:
            problems.append(f"--extra (train.extraArgs) {problem}")
    if any(checked.get(name) for name in VALIDATION) and not any(checked.get(name) for name in TRIGGERS):
        problems.append(
            "--extra gives validation rows and does not say when to use them: set one of "
            f"{', '.join(TRIGGERS)}."
        )
    return checked, [*problems, *mode_problems(checked), *idle_problems(checked)]


def mode_problems(given: Mapping[str, Any]) -> list[str]:
    """Return a training mode that never ends, has its own value, or lacks its limit."""
    mode = given.get("training_mode", "epoch")
    if mode not in MODES:
        return [
            f"--extra (train.extraArgs) gives training_mode as {mode!r}, expected one of {', '.join(MODES)}. "
            "Set --max-steps (train.maxSteps) to end after a number of steps."
        ]
    if mode == "token" and not given.get("max_tokens"):
        return ["--extra (train.extraArgs) gives training_mode as 'token': it needs max_tokens too."]
    if mode != "token" and given.get("max_tokens"):
        return [
            "--extra (train.extraArgs) gives max_tokens, which does nothing without training_mode 'token'. "
            "Give that too, or leave max_tokens out."
        ]
    return []


def idle_problems(given: Mapping[str, Any]) -> list[str]:
    """Arguments that would do nothing, for what they need is not given."""
    found = []
    for name, needed in NEEDS.items():
        if given.get(name) and not any(given.get(other) for other in needed):
            found.append(
                f"--extra (train.extraArgs) gives {name}, which does nothing without {' or '.join(needed)}. "
                f"Give {' or '.join(needed)} too, or leave {name} out."
            )
    return found


def name_problem(name: str, known: Mapping[str, Any], signature: inspect.Signature) -> str:
    """Return why a name cannot be given here, or nothing."""
    if name in BACKEND_NAMES:
        return f"names {name}: use {BACKEND_NAMES[name]}."
    if name in signature.parameters:
        return f"names {name}: it has its own flag, --{name.replace('_', '-')}."
    if name in known:
        return ""
    near = difflib.get_close_matches(name, [*known, *signature.parameters], n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    names = ", ".join(sorted(set(known) - set(BACKEND_NAMES) - set(signature.parameters)))
    return f"names {name}, which the installed mini-trainer lacks and would ignore.{hint} It knows {names}."


def of_type(name: str, value: Any, wanted: Any) -> tuple[Any, str]:
    """The value in the type of its field, and what is wrong with it; whole numbers serve as decimals."""
    kinds = [
        kind for kind in get_args(wanted) or (wanted,) if isinstance(kind, type) and kind is not NoneType
    ]
    if name.endswith("_dtype") and value not in DTYPES:
        return value, f"gives {name} as {value!r}, expected {', '.join(DTYPES)}."
    if float in kinds and type(value) is int:
        return float(value), ""
    for kind in kinds:
        if issubclass(kind, Enum):
            names = [item.value for item in kind]
            return value, "" if value in names else f"gives {name} as {value!r}, expected {', '.join(names)}."
    if kinds and type(value) not in kinds:
        names = [kind.__name__ for kind in kinds]
        return value, f"gives {name} as {value!r}, expected {' or '.join(names)}."
    return value, ""
