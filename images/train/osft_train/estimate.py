"""Steps and time of a run, told before the first step."""

import math
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from osft_train import weights
from osft_train.base import Base
from osft_train.data import Rows
from osft_train.devices import Device
from osft_workspace import Run, UserError

SIDE = 1024
"""Of the square matrices whose product tells how fast this machine is."""
REACHED = 0.4
"""Share of that speed that training reaches, counted in runs on CPUs."""
FACTORS = 1.3
"""A decomposed matrix costs this much more than the matrix itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is ahead."""

    steps_per_epoch: int
    steps: int | None
    """Optimizer steps of the run; None where tokens decide."""
    seconds: float | None


def plan_steps(rows: Rows, options: Mapping[str, Any]) -> tuple[int, int | None]:
    """Steps of an epoch and of the run, as mini-trainer will count them.

    Raises:
        UserError: the validation rows are all there are.
    """
    extra = options["extra"]
    count = math.ceil(rows.tokens / options["block_size"]) if options["is_pretraining"] else rows.kept
    count -= math.ceil(count * extra.get("validation_split", 0.0))
    if count < 1:
        raise UserError(
            f"validation_split {extra['validation_split']} (train.extraArgs) leaves none of {rows.kept} rows "
            "to train on. Lower it, or give more rows."
        )
    each = math.ceil(count / options["effective_batch_size"])
    mode = extra.get("training_mode", "epoch")
    return each, {"epoch": each * options["num_epochs"], "step": extra.get("max_steps")}.get(mode)


def flops_per_second(device: Device) -> float:
    """What one process's device multiplies, measured for a moment.

    On a GPU in a process of its own: this one would hold memory there as long as training lasts.
    """
    if device.name == "cuda":
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(measure, device).result()
    return measure(device)


def measure(device: Device) -> float:
    """Multiply square matrices for a tenth of a second."""
    import torch

    kind = torch.device(device.name)
    one = torch.ones(SIDE, SIDE, dtype=getattr(torch, device.compute), device=kind)
    torch.matmul(one, one)
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.1:
        torch.matmul(one, one)
        if kind.type == "cuda":
            torch.cuda.synchronize()
        rounds += 1
    return rounds * 2 * SIDE**3 / (time.perf_counter() - started)


def plan(run: Run, base: Base, device: Device, rows: Rows, options: Mapping[str, Any]) -> Plan:
    """Count steps, estimate time, and say both."""
    each, steps = plan_steps(rows, options)
    seconds = None
    if steps is not None:
        parameters = weights.parameters(weights.tensors(base.path))
        passes = 6 if device.keep_activations else 8  # forward 2, backward 4, and forward again
        work = rows.tokens * steps / each * parameters * passes * FACTORS
        processes = device.processes if device.name == "cuda" else 1
        seconds = work / (flops_per_second(device) * REACHED * processes * options["nnodes"])
    run.event(
        "plan",
        steps=steps,
        steps_per_epoch=each,
        rows=rows.kept,
        epochs=options["num_epochs"],
        about_minutes=max(round(seconds / 60, 1), 0.1) if seconds is not None else None,
    )
    return Plan(each, steps, seconds)
