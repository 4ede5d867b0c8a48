"""The arguments of the backend: complete, in range, and every one of them known to what is installed.

training_hub silently drops unknown arguments, and the backend misreads a few values. Whatever would be lost
or misread is rejected here, before anything is loaded.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from osft_plan.plan import NO_ROOM
from osft_train.extra import VALIDATION, check_extra
from osft_train.methods import OF_METHODS, OSFT
from osft_train.options import AUTO, Options
from osft_workspace import Run, UserError

OWN = (
    "method",
    "gpus",
    "extra",
    "checkpoint_minutes",
    "svd_cache",
    "max_steps",
    "tensorboard_log_dir",
    "eval_every",
    "gpu_memory_gib",
)
"""Options of this stage that the backend's call does not have."""

ADAMW = ("beta1", "beta2", "eps", "weight_decay")
"""In the signature of osft(), yet never put on the worker's command line; the launcher adds them."""

MANY_RANKS = 0.5
NEED_A_METRIC = ("reduce_lr_on_plateau", "greedy")
"""Schedules that follow a metric, which mini-trainer does not give them."""


@dataclass(frozen=True, slots=True)
class Call:
    """What goes to the backend."""

    arguments: dict[str, Any]
    """Keyword arguments of training_hub's function."""
    worker: dict[str, Any] = field(default_factory=dict)
    """Arguments of the worker that training_hub does not hand on."""

    def with_(self, **more: Any) -> "Call":
        """Return the same call with other arguments."""
        return Call({**self.arguments, **more}, self.worker)

    def without(self, *names: str) -> dict[str, Any]:
        """Arguments other than the named ones."""
        return {name: value for name, value in self.arguments.items() if name not in names}


def check_options(options: Options) -> None:
    """Return what can be known from the options alone, in no time.

    Raises:
        UserError: with every problem found.
    """
    problems = [*range_problems(options), *saving_problems(options), *conflicts(options)]
    if problems:
        raise UserError(" ".join(problems))


def range_problems(options: Options) -> list[str]:
    """Values that the backend would misread."""
    found = []
    if options.unfreeze_rank_ratio >= 1:
        found.append(
            "--unfreeze-rank-ratio (train.unfreezeRankRatio) is 1: the backend reads that as 0.5. OSFT keeps "
            "a part frozen: give a share below 1, or train all weights with --method=sft (train.method)."
        )
    most = options.max_tokens_per_gpu  # 0: auto, which is at least the longest row
    if most and options.max_seq_len > most:
        found.append(
            f"--max-seq-len (train.maxSequenceLength) is {options.max_seq_len} and --max-tokens-per-gpu "
            f"(train.maxTokensPerGpu) {most}: a row in between fits no GPU and "
            "would be dropped in every batch. Raise the second or lower the first."
        )
    if most and (options.block_size or 0) > most:
        found.append(
            f"--block-size (train.pretraining.blockSize) is {options.block_size} and --max-tokens-per-gpu "
            f"(train.maxTokensPerGpu) {most}: no block fits a GPU, and nothing "
            "would be learned. Raise the second or lower the first."
        )
    if not most and not (options.gpus and options.gpu_memory_gib):
        found.append(NO_ROOM)
    if options.max_steps and options.extra.get("training_mode") == "token":
        found.append(
            f"--max-steps (train.maxSteps) is {options.max_steps} and --extra (train.extraArgs) gives "
            "training_mode as 'token': training ends after steps or after tokens. Leave one of them out."
        )
    return found


def saving_problems(options: Options) -> list[str]:
    """Options that would leave no model or another one, or full states in no place."""
    found = []
    if not options.save_final_checkpoint and not options.checkpoint_at_epoch:
        found.append(
            "--save-final-checkpoint (train.checkpoints.final) and --checkpoint-at-epoch (everyEpoch) are "
            "both off: training would leave no model. Switch one on."
        )
    if not options.lora_merge and "save_dtype" in options.extra:
        found.append(
            "--extra (train.extraArgs) gives save_dtype and --no-lora-merge (train.lora.merge) leaves an "
            "adapter, which is saved in float32: save_dtype is for whole models. Leave one of them out."
        )
    storage = options.checkpoint_storage
    if storage and "://" not in storage:
        found.append(
            f"--checkpoint-storage (train.checkpoints.storage) is {storage!r}, expected an fsspec address "
            "such as s3://bucket/prefix. Leave it empty to keep full states in the workspace only."
        )
    return found


def conflicts(options: Options) -> list[str]:
    """Options that exclude or need each other."""
    found = []
    if options.method != OSFT and options.target_patterns:
        found.append(
            "--target-patterns (train.targetPatterns) is for method osft, and --method (train.method) is "
            f"{options.method}: leave it empty."
        )
    if options.is_pretraining and not options.block_size:
        found.append("--is-pretraining needs --block-size (train.pretraining.blockSize), such as 2048.")
    if options.block_size and not options.is_pretraining:
        found.append("--block-size is for --is-pretraining only: leave it empty.")
    if options.is_pretraining and options.unmask_messages:
        found.append("--is-pretraining has no messages to unmask: leave out --unmask-messages.")
    own = [name for name in VALIDATION if options.extra.get(name)]
    if own and options.eval_every not in (AUTO, "0"):
        found.append(
            f"--eval-every (train.evalEvery) is {options.eval_every} and --extra (train.extraArgs) gives "
            f"{own[0]}: the loss of the held-out rows is measured, or that of other rows. Leave one out."
        )
    if "@" in urlsplit(options.mlflow_tracking_uri).netloc:
        found.append(
            "--mlflow-tracking-uri (train.tracking.mlflow.uri) holds a user or password, which would be "
            "logged: give them in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if options.wandb_project and not os.environ.get("WANDB_API_KEY"):
        found.append(
            "--wandb-project (train.tracking.wandb.project) is set and WANDB_API_KEY is empty: give the key "
            "(secrets.wandb), or leave the project empty."
        )
    if options.node_rank >= options.nnodes:
        found.append(f"--node-rank {options.node_rank} does not exist: {options.nnodes} nodes count from 0.")
    if not options.nproc_per_node.isdigit() and options.nproc_per_node != "auto":
        found.append(f"--nproc-per-node is {options.nproc_per_node!r}: expected auto or a number.")
    elif options.nproc_per_node == "0":
        found.append("--nproc-per-node is 0: expected auto or at least 1.")
    return found


def schedules() -> list[str]:
    """Return names of the learning rate schedules of the installed transformers that need no metric."""
    from transformers import SchedulerType

    return [kind.value for kind in SchedulerType if kind.value not in NEED_A_METRIC]


def scheduler_problems(name: str) -> list[str]:
    """Return a schedule that the installed transformers does not have."""
    known = schedules()
    if name in known:
        return []
    return [f"--lr-scheduler (train.scheduler.name) is {name!r}, expected one of {', '.join(known)}."]


def collect(run: Run, function: Callable[..., Any], options: Options, fixed: Mapping[str, Any]) -> Call:
    """Return all arguments of the backend's function.

    Args:
        fixed: what this stage decides: paths, processes, patterns.

    Raises:
        UserError: with every argument that would be ignored or misread.
    """
    arguments, problems = checked_arguments(function, options, fixed)
    if problems:
        raise UserError(" ".join(problems))
    if options.method == OSFT and options.unfreeze_rank_ratio > MANY_RANKS:
        run.event(
            "unfreeze_rank_ratio is high: little of the model stays protected",
            seen=options.unfreeze_rank_ratio,
            usual=f"0.1 to {MANY_RANKS}",
        )
    worker = {name: arguments[name] for name in ADAMW if name in arguments}
    return Call(arguments, worker)


def is_own(name: str) -> bool:
    """Return whether an option is of this stage, and not an argument of the backend's call."""
    return name in OWN or name.startswith(tuple(OF_METHODS))


def checked_arguments(
    function: Callable[..., Any], options: Options, fixed: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return all arguments of the backend's function, and what is wrong with any of them."""
    signature = inspect.signature(function)
    known = {name: value for name, value in asdict(options).items() if not is_own(name)}
    arguments = {**{name: value for name, value in known.items() if value not in ("", None)}, **fixed}
    extra, problems = check_extra(options.extra, signature)
    problems += scheduler_problems(options.lr_scheduler)
    lost = sorted(name for name in arguments if name not in signature.parameters)
    if lost:
        problems.append(
            f"The installed training_hub has no argument {', '.join(lost)} and would ignore it: leave it "
            "out, or use the image of this version."
        )
    return {**arguments, **extra}, problems
