"""The options of `osft-train`."""

from dataclasses import dataclass
from typing import Any

import click

from osft_workspace.options import Json, Number, option

COUNT = click.IntRange(min=1)
POSITIVE = Number(min=0, min_open=True)
SHARE = Number(min=0, max=1, max_open=True)
AUTO = "auto"


class Often(click.ParamType[str]):
    """`auto`, or a number from 0."""

    name = "auto|number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word as it is. Fails for any other text."""
        if value != AUTO:
            Number(min=0).convert(value, param, ctx)
        return str(value)


class Tokens(click.ParamType[int]):
    """`auto`, which is 0, or a number from 1."""

    name = "auto|integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Fails for any other text."""
        return 0 if value in (AUTO, 0) else int(COUNT.convert(value, param, ctx))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to tune. An option that does not decide says where and how: other values make the same model."""

    # How and where
    method: str = option(
        "osft",
        "How to tune: osft; sft to train all weights without protection; lora to train adapters, or qlora "
        "with the base model in 4 bits.",
    )
    gpus: int = option(1, "GPUs of each node. 0: train on the CPU.", type=click.IntRange(min=0))
    nproc_per_node: str = option("auto", "Processes of each node. auto: one for each GPU, at least one.")
    # What may change, and how much
    unfreeze_rank_ratio: float = option(
        0.25, "Share of each weight matrix that OSFT may change, below 1.", type=Number(0, 1)
    )
    svd_cache: bool = option(
        True,
        "Keep the decomposition of each matrix in the workspace, for the next training on the same base.",
        decides=False,
    )
    target_patterns: list[Any] = option(
        [],
        "Matrices to decompose, a JSON list of name parts. Empty: by the model's type.",
        type=Json(list, '["self_attn.q_proj"]'),
    )
    lora_r: int = option(8, "Rank of the adapters.", type=COUNT)
    lora_alpha: float = option(8.0, "Scale of the adapters: alpha / r.", type=POSITIVE)
    lora_dropout: float = option(0.0, "Share of the adapters' inputs that is dropped.", type=SHARE)
    lora_target_modules: list[Any] = option(
        [],
        "Layers that get an adapter, a JSON list of name endings. Empty: every linear layer but the output "
        "layer.",
        type=Json(list, '["q_proj", "v_proj"]'),
    )
    lora_bias: str = option(
        "none", "Biases that are trained too.", type=click.Choice(["none", "all", "lora_only"])
    )
    lora_use_dora: bool = option(False, "Learn size and direction of weights apart (DoRA).")
    lora_use_rslora: bool = option(False, "Scale the adapters by alpha / sqrt(r) (rsLoRA).")
    lora_merge: bool = option(
        True, "Merge the adapters into a copy of the base model. Off: the adapter alone is the result."
    )
    quantization_type: str = option(
        "nf4", "Number format of the base model for qlora.", type=click.Choice(["nf4", "fp4"])
    )
    quantization_compute_dtype: str = option(
        "bfloat16",
        "Number format in which qlora computes with the base model.",
        type=click.Choice(["bfloat16", "float16", "float32"]),
    )
    quantization_double: bool = option(True, "Quantize the constants of the quantization too, for qlora.")
    # Steps
    effective_batch_size: int = option(
        0,
        "Rows of one optimizer step, over all nodes. 0: 128, or 16 for lora and qlora.",
        type=click.IntRange(min=0),
    )
    max_tokens_per_gpu: int = option(
        64000,
        "Largest number of tokens on a GPU at a time; lower it if memory runs out. auto: as many as fit into "
        "--gpu-memory-gib, and at least those of the longest row.",
        type=Tokens(),
    )
    gpu_memory_gib: float | None = option(
        None, "Memory of a GPU in GiB, for --max-tokens-per-gpu=auto.", type=POSITIVE
    )
    max_seq_len: int = option(8192, "Rows of this many tokens or more are dropped.", type=COUNT)
    num_epochs: int = option(1, "Number of passes over the rows.", type=COUNT)
    max_steps: int = option(
        0,
        "Largest number of optimizer steps; the learning rate schedule ends with them. 0: as many as the "
        "epochs have.",
        type=click.IntRange(min=0),
    )
    seed: int = option(42, "Seed of the order of rows and of every random number.")
    use_liger: bool = option(True, "Use Liger's GPU kernels: less memory. Ignored on CPU.")
    # Learning
    learning_rate: float = option(
        0.0, "Peak learning rate. 0: 5e-6, or 2e-4 for lora and qlora.", type=Number(min=0)
    )
    lr_scheduler: str = option("cosine", "Learning rate schedule, a name from transformers.")
    warmup_steps: int = option(0, "Learning rate warmup, in optimizer steps.", type=click.IntRange(min=0))
    lr_scheduler_kwargs: dict[str, Any] = option(
        {}, "Further arguments of the schedule, a JSON object.", type=Json(dict, '{"num_cycles": 2}')
    )
    beta1: float | None = option(None, "AdamW beta1. Empty: 0.9.", type=SHARE)
    beta2: float | None = option(None, "AdamW beta2. Empty: 0.95.", type=SHARE)
    eps: float | None = option(None, "AdamW epsilon. Empty: 1e-8.", type=POSITIVE)
    weight_decay: float | None = option(None, "AdamW weight decay. Empty: 0.", type=Number(min=0))
    # Rows
    unmask_messages: bool = option(
        False, "Learn from all messages except the system's, as download encoded them."
    )
    is_pretraining: bool = option(False, "Learn plain text in blocks, without a chat template.")
    block_size: int | None = option(None, "Tokens of one block of plain text.", type=COUNT)
    document_column_name: str = option(
        "", "Column that download must have read the plain text from. Empty: any."
    )
    data_output_dir: str = option(
        "", "Folder for a copy of the encoded rows that training reads. Empty: no copy.", decides=False
    )
    # Measuring and saving
    eval_every: str = option(
        AUTO,
        "When to measure the loss of held-out rows: every so many optimizer steps, or shares of an epoch "
        "below 1. auto: four times a run. 0: never.",
        type=Often(),
        decides=False,
    )
    checkpoint_at_epoch: bool = option(False, "Keep a model of every epoch in checkpoints/.")
    save_final_checkpoint: bool = option(True, "Save the model at the end.")
    enable_jit_checkpoint: bool = option(
        True, "Save a checkpoint of the full state on SIGTERM, and resume from it.", decides=False
    )
    checkpoint_minutes: float = option(
        15.0,
        "Minutes between checkpoints, for a kill without SIGTERM. 0: no checkpoints.",
        type=Number(min=0),
        decides=False,
    )
    checkpoint_storage: str = option(
        "", "Address (fsspec) for copies of checkpoints. Empty: no copies.", decides=False
    )
    # Nodes, with further variables that Kubeflow Trainer sets
    nnodes: int = option(1, "Nodes that train together.", also="PET_NNODES", type=COUNT)
    node_rank: int = option(
        0,
        "Number of this node, from 0.",
        also="PET_NODE_RANK",
        type=click.IntRange(min=0),
        decides=False,
    )
    master_addr: str = option(
        "", "Address of node 0. Ignored with one node.", also="PET_MASTER_ADDR", decides=False
    )
    master_port: int | None = option(
        None,
        "Port on node 0. Ignored with one node.",
        also="PET_MASTER_PORT",
        type=click.IntRange(1, 65535),
        decides=False,
    )
    # Experiment trackers
    wandb_project: str = option("", "Weights & Biases project; needs WANDB_API_KEY.", decides=False)
    wandb_entity: str = option("", "Weights & Biases entity.", decides=False)
    wandb_run_name: str = option("", "Weights & Biases run name.", decides=False)
    tensorboard_log_dir: str = option(
        "",
        "Folder in the workspace for TensorBoard event files, in a folder of the run's name. Empty: "
        "tensorboard/ of this stage.",
        decides=False,
    )
    mlflow_tracking_uri: str = option("", "Address of an MLflow server.", decides=False)
    mlflow_experiment_name: str = option("", "MLflow experiment.", decides=False)
    mlflow_run_name: str = option("", "MLflow run name.", decides=False)
    # Anything else
    trust_remote_code: bool = option(False, "Run code that comes with the model.")
    extra: dict[str, Any] = option(
        {},
        "Further arguments of the engine, a JSON object; an unknown name is an error.",
        type=Json(dict, '{"save_dtype": "bfloat16"}'),
    )
