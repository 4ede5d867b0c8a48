"""Steps and time of a run, logged before the first step."""

import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from osft_train import learns, weights
from osft_train.base import Base
from osft_train.data import Rows
from osft_train.devices import Device
from osft_train.methods import LORA, OSFT, QLORA, SFT
from osft_train.options import Options
from osft_workspace import Run
from osft_workspace.cpus import usable_cpus

SIDE = 1024
"""Of the square matrices whose product measures how fast this machine is."""
FEW = 8
"""With fewer optimizer steps a training hardly changes a model, however many rows each has."""
REACHED = 0.4
"""Share of that speed that training reaches, counted in runs on CPUs."""
FACTORS = {OSFT: 1.2, SFT: 1.0, LORA: 2 / 3, QLORA: 2 / 3}
"""What a pass costs compared to one of full fine-tuning: decomposed matrices are also projected, frozen ones
need no gradients of their own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is ahead."""

    steps_per_epoch: int
    steps: int | None
    """Optimizer steps of the run; None where tokens decide."""
    seconds: float | None


def plan_steps(rows: Rows, options: Options) -> tuple[int, int | None]:
    """Steps of an epoch and of the run, as mini-trainer will count them."""
    extra = options.extra
    each = math.ceil(rows.units(options) / options.effective_batch_size)
    if extra.get("training_mode") == "token":
        return each, None
    steps = each * options.num_epochs
    return each, min(steps, options.max_steps or steps)


def limits(plan: Plan, options: Options) -> dict[str, Any]:
    """Return the backend's arguments for a run that ends before its last epoch does; none for another.

    The model at the end is saved in any case: a resume after the last step saves no model of an epoch.
    """
    if plan.steps is None or plan.steps >= plan.steps_per_epoch * options.num_epochs:
        return {}
    return {"training_mode": "step", "max_steps": plan.steps, "save_final_checkpoint": True}


def flops_per_second(device: Device) -> float:
    """Return what one process's device multiplies, measured for a moment.

    In its own process: this one would hold memory of a GPU as long as training lasts, and on a CPU threads,
    which the worker, a fork of it, could not use.
    """
    with ProcessPoolExecutor(1, get_context("spawn" if device.name == "cuda" else "fork")) as pool:
        return pool.submit(measure, device).result()


def measure(device: Device) -> float:
    """Multiply square matrices for a tenth of a second."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or usable_cpus()))
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


def plan(run: Run, base: Base, device: Device, rows: Rows, options: Options) -> Plan:
    """Count steps, estimate time, and say both."""
    each, steps = plan_steps(rows, options)
    learns.check(rows, device, (each, steps), options)
    seconds = None
    if steps is not None:
        parameters = weights.parameters(weights.tensors(base.path))
        passes = 6 if device.keep_activations else 8  # forward 2, backward 4, and forward again
        work = rows.tokens * steps / each * parameters * passes * FACTORS[options.method]
        processes = device.processes if device.name == "cuda" else 1
        seconds = work / (flops_per_second(device) * REACHED * processes * options.nnodes)
    run.event(
        "plan",
        steps=steps,
        steps_per_epoch=each,
        rows=rows.kept,
        epochs=options.num_epochs,
        max_steps=options.max_steps or None,
        about_minutes=max(round(seconds / 60, 1), 0.1) if seconds is not None else None,
    )
    if steps is not None and steps < FEW:
        run.event(
            "few optimizer steps: little will be learned",
            steps=steps,
            rows_of_a_step=options.effective_batch_size,
            remedy="lower train.effectiveBatchSize, or raise train.epochs",
        )
    return Plan(each, steps, seconds)
