"""A run that would end well and learn nothing, refused before the first step."""

import json

from osft_train.data import Rows
from osft_train.devices import Device
from osft_train.options import Options
from osft_workspace import UserError, excerpt
from osft_workspace.text import counted

SMALLEST_RATE = 1e-12
"""AdamW moves a weight by about the rate, and float32 holds seven digits: below this no weight moves."""
LOOKED_AT = 1000
"""Steps of the schedule that are looked at."""


def check(rows: Rows, device: Device, steps: tuple[int, int | None], options: Options) -> None:
    """Check a run for reasons why it would end well and learn nothing.

    Args:
        steps: of an epoch and of the run.

    Raises:
        UserError: with every reason found.
    """
    each, whole = steps
    if whole is None:
        whole = round(options.extra["max_tokens"] / (rows.learned / each))
    problems = [*rate_problems(options, max(whole, 1)), *row_problems(rows, device, options)]
    if problems:
        raise UserError(" ".join(problems))


def rate_problems(options: Options, steps: int) -> list[str]:
    """Return why the learning rate never does anything, or cannot be had."""
    warmup, scheduler = options.warmup_steps, options.lr_scheduler
    if warmup >= steps and scheduler != "constant":
        return [
            f"--warmup-steps (train.scheduler.warmupSteps) is {warmup} and the run has "
            f"{counted(steps, 'step')}: the learning rate never reaches its peak. Lower it, or train longer "
            "(train.epochs, more rows, a smaller train.effectiveBatchSize)."
        ]
    try:
        rate = peak_rate(options, steps)
    except Exception as error:  # transformers raises anything for arguments that a schedule does not take
        given = excerpt(json.dumps(options.lr_scheduler_kwargs))
        return [
            f"--lr-scheduler-kwargs (train.scheduler.kwargs) is {given}, which the schedule {scheduler} of "
            f"transformers does not take: {excerpt(str(error)).rstrip('.')}. Correct it, or choose another "
            "schedule (train.scheduler.name)."
        ]
    if rate < SMALLEST_RATE:
        return [
            f"--learning-rate (train.learningRate) is {options.learning_rate:g} and reaches {rate:g} in "
            f"{counted(steps, 'step')}, which changes no weight in 32-bit numbers. Expected something like "
            "5e-6, or 2e-4 for lora and qlora: raise it."
        ]
    return []


def peak_rate(options: Options, steps: int) -> float:
    """Return the highest learning rate of the first steps, by the schedule that mini-trainer will build."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=options.learning_rate)
    schedule = get_scheduler(
        options.lr_scheduler,
        optimizer,
        num_warmup_steps=options.warmup_steps,
        num_training_steps=steps,
        scheduler_specific_kwargs=options.lr_scheduler_kwargs,
    )
    peak = 0.0
    for _ in range(min(steps, LOOKED_AT)):
        peak = max(peak, float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return peak


def row_problems(rows: Rows, device: Device, options: Options) -> list[str]:
    """Return why the rows do not make a step."""
    number, processes = rows.units(options), device.processes * options.nnodes
    what = "block" if options.is_pretraining else "row"
    if number < processes:
        return [
            f"there {'is' if number == 1 else 'are'} {counted(number, what)} to train on for {processes} "
            f"processes, expected at least one {what} for each. Use fewer processes (train.gpus, "
            "train.nodes, train.processesPerNode), or give more rows."
        ]
    size, batch = options.block_size, options.effective_batch_size
    if size and rows.tokens % size == 1 and (batch == 1 or number % batch == 1):
        return [
            f"the last block of the {rows.tokens} tokens holds one token (train.pretraining.blockSize, "
            f"--block-size, is {size}) and may be a step by itself, in which nothing can be learned: its "
            "loss is not a number. Choose another block size."
        ]
    return []
