"""The plan of this training by the planner that download and `osft plan` use: its tokens, memory and time."""

from dataclasses import replace
from pathlib import Path

from osft_plan import memory, plan
from osft_plan.memory import GIB
from osft_plan.model import Model
from osft_plan.plan import NO_ROOM
from osft_plan.rows import Rows, read_lengths
from osft_plan.training import Training
from osft_rows.files import TokenFiles
from osft_train.options import Options
from osft_workspace import Run, UserError

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Of a number, by its format."""
NOT_ALLOCATED = ("libraries", "allocator")
"""Terms that PyTorch does not count as memory of a GPU that is in use."""


def training(options: Options, *, processes: int, compute: str, attention: str) -> Training:
    """Return what the options ask for, as the planner sees it.

    Args:
        processes: of a node.
        compute: number format of the forward pass.
        attention: its kernel.
    """
    return Training(
        method=options.method,
        ratio=options.unfreeze_rank_ratio,
        patterns=tuple(options.target_patterns),
        rank=options.lora_r,
        adapted=tuple(options.lora_target_modules),
        gpus=options.gpus,
        nodes=options.nnodes,
        processes=processes,
        batch=options.effective_batch_size,
        tokens=options.max_tokens_per_gpu,
        longest=options.max_seq_len,
        epochs=options.num_epochs,
        max_steps=options.max_steps,
        block=options.block_size or 0,
        liger=options.use_liger,
        states=options.enable_jit_checkpoint,
        keep_epochs=options.checkpoint_at_epoch,
        keep_factors=options.svd_cache,
        compute=BYTES[compute],
        masks=attention == "sdpa",
    )


def with_tokens(run: Run, options: Options) -> Options:
    """Return the options with a number of tokens in the place of `auto`: the one that download planned with.

    Raises:
        UserError: nothing says how much memory there is.
    """
    if options.max_tokens_per_gpu:
        return options
    if not (options.gpus and options.gpu_memory_gib):
        raise UserError(NO_ROOM)
    processes = options.gpus if options.nproc_per_node == "auto" else int(options.nproc_per_node)
    wanted = training(options, processes=processes, compute="bfloat16", attention="sdpa")
    model = model_of(run)
    rows = wanted.rows(
        Rows(read_lengths(TokenFiles.of(run.predecessors["download"], run.workspace.root).train))
    )
    tokens = plan.fitting(model, wanted, rows, options.gpu_memory_gib * GIB)
    run.choice("max_tokens_per_gpu", tokens, f"the most that fit into {options.gpu_memory_gib:g} GiB")
    return replace(options, max_tokens_per_gpu=tokens)


def model_of(run: Run) -> Model:
    """Return the base model as the planner sees it."""
    download = run.predecessors["download"]
    facts = download.details["model"]
    folder = download.shared_path(run.workspace.root, facts["path"])
    return Model.of_folder(folder, f"the base model {facts.get('uri', folder)}")


def terms(model: Model, wanted: Training, rows: Path) -> tuple[int, dict[str, int]]:
    """Return the tokens that a process has at a time, and the terms of its peak memory, in bytes.

    Args:
        rows: the file of the rows that are trained on.
    """
    found = Rows(read_lengths(rows))
    tokens = wanted.tokens_at_a_time(found.blocks(wanted.block) if wanted.block else found)
    return tokens, memory.terms(model, wanted, tokens)


def measurable(found: dict[str, int], device: str) -> int:
    """Return the part of a plan's memory that a training measures: of a GPU, what PyTorch has in use."""
    return sum(size for name, size in found.items() if device == "cpu" or name not in NOT_ALLOCATED)
