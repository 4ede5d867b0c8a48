"""Time of a training, from a stated table of speeds; on the machine that trains, from one that is measured.

The table counts what full fine-tuning reaches: numbers of floating-point operations a second of one GPU, of 8
for each parameter and token (2 forward, 4 backward, and 2 for the forward pass that is computed again).
"""

from typing import NamedTuple

from osft_plan.memory import GIB
from osft_plan.model import Model
from osft_plan.training import LORA, OSFT, QLORA, SFT, Training

FACTORS = {OSFT: 1.2, SFT: 1.0, LORA: 0.7, QLORA: 0.9}
"""What a pass costs compared to one of full fine-tuning: decomposed matrices cost more (1.49 in
`benchmarks/train`, 1.55 on H100 by mini-trainer's own figures), frozen ones need no gradients of their own;
numbers of 4 bits are unpacked for each pass."""
SVD = 20
"""Floating-point operations of a decomposition for each product of the sides and the rank of a matrix."""
SVD_SHARE = 0.01
"""Share of the speed of training that it reaches on a GPU: half an hour for 8B parameters on an A100."""


class Speed(NamedTuple):
    """What a device reaches in training."""

    name: str
    flops: float


TABLE = (
    (100, Speed("H200, as an H100", 350e12)),
    (60, Speed("A100 80 GB", 160e12)),
    (36, Speed("L40S", 90e12)),
    (20, Speed("L4", 35e12)),
    (0, Speed("T4", 12e12)),
)
"""Memory of a GPU in GiB, from which it is taken for the slowest usual one of that size. A100 and H100: first
epoch of SFT of Granite-3.3-8B in training_hub's guide to run times; the others by their ratio to the A100 in
peak speed of bfloat16."""
CPU = Speed("two cores with AVX-512", 0.2e12)
"""Measured with the demo's model of 135M parameters."""


def speed(training: Training, memory: float | None) -> Speed:
    """Return the speed to plan with.

    Args:
        memory: of a GPU, in bytes; None: unknown, as an A100's.
    """
    if not training.gpus:
        return CPU
    gib = 80.0 if memory is None else memory / GIB
    return next(each for least, each in TABLE if gib >= least)


def flops(model: Model, training: Training, tokens: float) -> float:
    """Return the operations of training on so many tokens, by all processes together."""
    passes = 6 if training.keep_activations else 8
    return tokens * model.parameters * passes * FACTORS[training.method]


def seconds(model: Model, training: Training, tokens: float, reached: float) -> float:
    """Return how long training takes.

    Args:
        tokens: of all steps.
        reached: operations a second of one process's device.
    """
    processes = training.world if training.gpus else training.nodes
    return flops(model, training, tokens) / (reached * processes)


def decomposing(model: Model, training: Training, reached: float) -> float:
    """Return how many seconds the decompositions take where none are kept yet; 0 without OSFT."""
    if training.method != OSFT:
        return 0.0
    work = SVD * sum(
        rows * columns * min(rows, columns) for rows, columns in model.targets(training.patterns)
    )
    share = SVD_SHARE if training.gpus else 0.2
    return work / (reached * share * training.world)
