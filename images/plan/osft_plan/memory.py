"""Peak memory of a training process, term by term, from what mini-trainer and PyTorch hold at their peak.

The peak is the backward pass of the second step or a later one: the optimizer's moments are there, the
gradients of earlier parts of the batch too. docs/plan.md explains each term; `benchmarks/plan` compares the
sum with measured peaks.

training_hub has an estimator for osft, sft and LoRA with the same terms for weights, gradients and moments.
It needs torch and the model itself, has no qlora, no activation checkpointing and no process on a CPU, and
takes one number of the hidden size for all activations of a layer, so it is not used here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from osft_plan.model import Model
from osft_plan.training import ADAPTERS, LORA, OSFT, QLORA, Training

GIB = 2**30
FULL = 4
"""Bytes of a number that is trained, of its gradient, and of each of AdamW's two moments."""
NF4 = 0.5 + 0.127 / 8
"""Bytes of a number that bitsandbytes holds in 4 bits, with the constants of its blocks quantized too."""
LIBRARIES = {"cpu": 0.66 * GIB, "cuda": 0.75 * GIB}
"""Bytes that a process holds without a model: Python, torch and transformers on a CPU, the CUDA context and
NCCL's buffers on a GPU. The first was measured on Linux, amd64; the second is the usual 0.5 and a margin."""
SLACK = 0.05
"""Share that PyTorch's allocator of GPU memory holds beyond what is in use: freed blocks do not all fit."""
ARENA, UNUSED = 32 << 20, 0.6
"""On a CPU glibc returns blocks of more bytes at once. Smaller ones stay with the thread that asked for them,
that of the forward pass or that of the backward pass, and a share of them is in use in neither: measured
by training with and without `mallopt(M_MMAP_THRESHOLD)`, which returns all at once and takes more time."""
KEEP_BYTES = 1.5 * GIB
"""Activations that stay in memory on a CPU; more are computed again in the backward pass."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many numbers a process holds, before they are shared among processes."""

    trained: int
    frozen: int
    """Of the base model where adapters are trained, of the protected directions with OSFT."""
    largest: int
    """Of one layer, trained and frozen."""
    outside: int
    """Of embeddings and output layer."""
    held: int = 0
    """Of the matrices that a process alone on a CPU makes of the protected directions, which then no pass
    copies."""


def numbers(model: Model, training: Training) -> Numbers:
    """Count what is trained and what is not."""
    if training.method in ADAPTERS:
        added = sum(training.rank * (rows + columns) for rows, columns in model.adapted(training.adapted))
        return Numbers(added, model.parameters, model.layer + added // model.layers, model.outside)
    if training.method != OSFT:
        return Numbers(model.parameters, 0, model.layer, model.outside)
    dense = low = high = 0
    for rows, columns in model.targets(training.patterns):
        rank = min(rows, columns)
        kept = protected(rank, training.ratio)
        dense += rows * columns
        high += kept * (rows + columns + 1)
        low += (rank - kept) * (rows + columns + 1)
    alone = not training.gpus and training.world == 1
    layer = (model.inside - dense + low + (0 if alone else high)) // model.layers
    return Numbers(model.parameters - dense + low, high, layer, model.outside, dense if alone else 0)


def terms(model: Model, training: Training, tokens: int) -> dict[str, int]:
    """Return the bytes of each term of one process at its peak.

    Args:
        tokens: that it has at a time.
    """
    count = numbers(model, training)
    device = "cuda" if training.gpus else "cpu"
    held = 1 if training.method in ADAPTERS else training.world
    found: dict[str, float] = {
        "parameters": FULL * count.trained / held,
        "gradients": FULL * count.trained / held,
        "optimizer": 2 * FULL * count.trained / held,
        "frozen": frozen(model, training, count) / held,
        "gathered": gathered(training, count),
        "activations": activations(model, training, tokens),
        "logits": logits(model, training, tokens),
        "libraries": LIBRARIES[device],
    }
    found["allocator"] = SLACK * sum(found.values()) if training.gpus else unused(model, found, tokens)
    return {name: round(size) for name, size in found.items()}


def unused(model: Model, found: Mapping[str, float], tokens: int) -> float:
    """Bytes that glibc does not return, of what each pass makes again and is in small blocks."""
    blocks = {
        "activations": 2 * tokens * max(model.inner, model.hidden),
        "logits": 2 * tokens * model.vocabulary,
        "gathered": FULL * model.vocabulary * model.hidden,
        "gradients": FULL * model.vocabulary * model.hidden,
    }
    return UNUSED * sum(found[name] for name, size in blocks.items() if size < ARENA)


def keeps(model: Model, training: Training, tokens: int) -> bool:
    """Return whether a CPU keeps the activations of so many tokens, which saves a quarter of the work."""
    kept = replace(training, keep_activations=True)
    return not training.gpus and activations(model, kept, tokens) <= KEEP_BYTES


def frozen(model: Model, training: Training, count: Numbers) -> float:
    """Bytes of numbers that are not trained: directions in float32, and matrices made of them in the pass's
    format, or the base model in 16 or 4 bits."""
    if training.method == QLORA:
        inside = sum(rows * columns for rows, columns in model.adapted())
        return NF4 * inside + training.compute * (count.frozen - inside)
    return (
        training.compute if training.method == LORA else FULL
    ) * count.frozen + training.compute * count.held


def gathered(training: Training, count: Numbers) -> float:
    """Bytes of the copies that FSDP2 makes of weights for a pass.

    Weights outside of the layers and of two layers in the pass's number format, their gradients in it, and
    the buffer in float32 in which the largest of these are reduced.
    """
    if training.method in ADAPTERS:
        return 0
    copies = count.outside + 2 * count.largest
    return training.compute * (copies + max(count.outside, count.largest)) + FULL * max(
        count.outside, count.largest
    )


def of_layer(model: Model, training: Training) -> float:
    """Bytes that the backward pass of a decoder layer needs for each token.

    Two norms keep their input in float32; the attention keeps queries, keys, values and its result; the MLP
    keeps what its activation reads and makes, and what that is multiplied by.
    """
    hidden, inner, queries, keys = model.hidden, model.inner, model.queries, model.keys
    kept = 2 * queries + 2 * keys + 3 * inner
    return 2 * FULL * hidden + training.compute * (kept + inputs_of_layer(model, training))


def inputs_of_layer(model: Model, training: Training) -> float:
    """Numbers for each token that a layer keeps for the gradients of its matrices.

    Where they are trained, these are the results of both norms, before and after their weights, the result
    of the attention, and what the MLP narrows. OSFT adds what the trained directions of each matrix make of
    its input. An adapter keeps a copy of the input of its layer, which otherwise keeps none.
    """
    layers = model.layers
    if training.method in ADAPTERS:
        return sum(columns for _, columns in model.adapted(training.adapted)) / layers
    own = 4 * model.hidden + model.queries + model.inner
    if training.method != OSFT:
        return own
    ranks = (min(each) for each in model.targets(training.patterns))
    return own + sum(rank - protected(rank, training.ratio) for rank in ranks) / layers


def protected(rank: int, ratio: float) -> int:
    """Return how many directions of a matrix OSFT keeps as they are."""
    return min(math.floor(rank * (1 - ratio)), rank - 1)


def activations(model: Model, training: Training, tokens: int) -> float:
    """Bytes of what the forward pass leaves for the backward pass.

    Of all layers where they are kept; otherwise the input of each layer, and all of one layer at a time. With
    PyTorch's attention a mask of tokens x tokens keeps the rows of a batch apart: one as flags, and one in
    the pass's number format for each layer.
    """
    layers = model.layers if training.keep_activations else 1
    inputs = 0 if training.keep_activations else training.compute * model.hidden * model.layers
    mask = (1 + training.compute * layers) * tokens**2 if training.masks else 0
    return tokens * (of_layer(model, training) * layers + inputs) + mask


def logits(model: Model, training: Training, tokens: int) -> float:
    """Bytes of the loss: the logits in the pass's number format, and twice in float32.

    The logits of the part of a batch before are still there: the loop holds its output until the next one is
    made. Liger's kernel makes them in portions of hidden / vocabulary of the tokens, and keeps the gradient
    of the output layer instead.
    """
    vocabulary = model.vocabulary
    if training.gpus and training.liger:
        portion = math.ceil(tokens / math.ceil(vocabulary / model.hidden))
        return (training.compute + FULL) * portion * vocabulary + training.compute * model.hidden * (
            tokens + vocabulary
        )
    return (2 * training.compute + 2 * FULL) * tokens * vocabulary


def host(model: Model, training: Training) -> int:
    """Bytes of host memory of a node: libraries of each process, and the weights that its first one loads.

    They are loaded in float32 before they are shared out, and assembled in float32 when the model is saved.
    """
    count = numbers(model, training)
    if not training.gpus:
        return 0
    loaded = model.stored * model.parameters
    if training.method not in ADAPTERS:
        loaded = FULL * max(model.parameters, count.trained + count.frozen) + model.stored * model.parameters
    return round(training.processes * 2.5 * GIB + loaded)


def disk(model: Model, training: Training) -> dict[str, int]:
    """Bytes that a training writes to the workspace.

    A full state holds what is trained, its moments, and the directions that are not trained; the newest is
    written beside the one before.
    """
    count, tuned = numbers(model, training), model.stored * model.parameters
    frozen_state = 0 if training.method in ADAPTERS else count.frozen
    found = {"model": tuned}
    if training.keep_epochs and training.epochs > 1:
        found["epochs"] = tuned * (training.epochs - 1)
    if training.states:
        found["full states"] = 2 * FULL * (3 * count.trained + frozen_state)
    if training.method == OSFT and training.keep_factors:
        found["decompositions"] = sum(
            FULL * min(each) * (sum(each) + 1) for each in model.targets(training.patterns)
        )
    return found
