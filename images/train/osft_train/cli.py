"""`osft-train`: the base model tuned on the checked rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from osft_workspace import StageCommand, overwrite_option, stage_options
from osft_workspace.options import Json, Number, check_option

Function = TypeVar("Function", bound=Callable[..., Any])


def option(name: str, default: Any, text: str, *env: str, **more: Any) -> Callable[[Function], Function]:
    """One option with its environment names; further names come from Kubeflow Trainer."""
    own = "OSFT_TRAIN_" + name.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(
        name, default=default, envvar=[own, *env], show_envvar=True, show_default=True, help=text, **more
    )


COUNT = click.IntRange(min=1)
POSITIVE = Number(min=0, min_open=True)
SHARE = Number(min=0, max=1, max_open=True)


@click.command(cls=StageCommand, name="osft-train")
@stage_options
@overwrite_option
@check_option("OSFT_TRAIN_CHECK")
# How and where
@option("--method", "osft", "How to tune: osft.")
@option("--gpus", 1, "GPUs of each node. 0: train on the CPU.", type=click.IntRange(min=0))
@option("--nproc-per-node", "auto", "Processes of each node. auto: one for each GPU, at least one.")
# What may change, and how much
@option(
    "--unfreeze-rank-ratio",
    0.25,
    "Share of each weight matrix that OSFT may change, below 1.",
    type=Number(0, 1),
)
@option(
    "--target-patterns", "[]", "Matrices to decompose, a JSON list of name parts. Empty: by the model's "
    "type.",
    type=Json(list, '["self_attn.q_proj"]'),
)  # fmt: skip
# Steps
@option("--effective-batch-size", 128, "Rows of one optimizer step, over all nodes.", type=COUNT)
@option(
    "--max-tokens-per-gpu",
    64000,
    "Largest number of tokens on a GPU at a time; lower it if memory runs out.",
    type=COUNT,
)
@option("--max-seq-len", 8192, "Rows of this many tokens or more are dropped.", type=COUNT)
@option("--num-epochs", 1, "Number of passes over the rows.", type=COUNT)
@option(
    "--max-steps",
    0,
    "Largest number of optimizer steps; the learning rate schedule ends with them. 0: as many as the epochs "
    "have.",
    type=click.IntRange(min=0),
)
@option("--seed", 42, "Seed of the order of rows and of every random number.")
@option("--use-liger/--no-use-liger", True, "Use Liger's GPU kernels: less memory. Ignored on CPU.")
# Learning
@option("--learning-rate", 5e-6, "Peak learning rate.", type=POSITIVE)
@option("--lr-scheduler", "cosine", "Learning rate schedule, a name from transformers.")
@option("--warmup-steps", 0, "Learning rate warmup, in optimizer steps.", type=click.IntRange(min=0))
@option(
    "--lr-scheduler-kwargs", "{}", "Further arguments of the schedule, a JSON object.",
    type=Json(dict, '{"num_cycles": 2}'),
)  # fmt: skip
@option("--beta1", None, "AdamW beta1. Empty: 0.9.", type=SHARE)
@option("--beta2", None, "AdamW beta2. Empty: 0.95.", type=SHARE)
@option("--eps", None, "AdamW epsilon. Empty: 1e-8.", type=POSITIVE)
@option("--weight-decay", None, "AdamW weight decay. Empty: 0.", type=Number(min=0))
# Rows
@option(
    "--unmask-messages/--no-unmask-messages",
    False,
    "Learn from all messages except the system's, as download encoded them.",
)
@option("--is-pretraining/--no-is-pretraining", False, "Learn plain text in blocks, without a chat template.")
@option("--block-size", None, "Tokens of one block of plain text.", type=COUNT)
@option("--document-column-name", "", "Column that download must have read the plain text from. Empty: any.")
@option("--data-output-dir", "", "Folder for a copy of the encoded rows that training reads. Empty: no copy.")
# Saving
@option(
    "--checkpoint-at-epoch/--no-checkpoint-at-epoch", False, "Keep a model of every epoch in checkpoints/."
)
@option("--save-final-checkpoint/--no-save-final-checkpoint", True, "Save the model at the end.")
@option(
    "--enable-jit-checkpoint/--no-enable-jit-checkpoint",
    True,
    "Save a checkpoint of the full state on SIGTERM, and resume from it.",
)
@option(
    "--checkpoint-minutes",
    15.0,
    "Minutes between checkpoints, for a kill without SIGTERM. 0: no checkpoints.",
    type=Number(min=0),
)
@option("--checkpoint-storage", "", "Address (fsspec) for copies of checkpoints. Empty: no copies.")
# Nodes
@option("--nnodes", 1, "Nodes that train together.", "PET_NNODES", type=COUNT)
@option("--node-rank", 0, "Number of this node, from 0.", "PET_NODE_RANK", type=click.IntRange(min=0))
@option("--master-addr", "", "Address of node 0. Ignored with one node.", "PET_MASTER_ADDR")
@option(
    "--master-port",
    None,
    "Port on node 0. Ignored with one node.",
    "PET_MASTER_PORT",
    type=click.IntRange(1, 65535),
)
# Experiment trackers
@option("--wandb-project", "", "Weights & Biases project; needs WANDB_API_KEY.")
@option("--wandb-entity", "", "Weights & Biases entity.")
@option("--wandb-run-name", "", "Weights & Biases run name.")
@option(
    "--tensorboard-log-dir",
    "",
    "Folder in the workspace for TensorBoard event files, in a folder of the run's name. Empty: tensorboard/ "
    "of this stage.",
)
@option("--mlflow-tracking-uri", "", "Address of an MLflow server.")
@option("--mlflow-experiment-name", "", "MLflow experiment.")
@option("--mlflow-run-name", "", "MLflow run name.")
# Anything else
@option("--trust-remote-code/--no-trust-remote-code", False, "Run code that comes with the model.")
@option(
    "--extra", "{}", "Further arguments of the engine, a JSON object; an unknown name is an error.",
    type=Json(dict, '{"save_dtype": "bfloat16"}'),
)  # fmt: skip
def main(workspace: Path, run_id: str, check: bool, run_overwrite: bool, **options: Any) -> None:
    """Tune the base model so that what it knows stays.

    \b
    Reads the record of download. Leaves model/ (plain Hugging Face folder),
    metrics.jsonl, loss.svg, tensorboard/ and train.log in <workspace>/runs/<run id>/train.
    """
    from osft_train import stage

    if check:
        stage.check(workspace, run_id, options)
        return
    stage.start(workspace, run_id, options, overwrite=run_overwrite)
