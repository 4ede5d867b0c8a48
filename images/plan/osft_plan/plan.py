"""The plan of a training: what it takes, and the largest number of tokens that fits."""

from dataclasses import dataclass, replace
from typing import Any, Self

from osft_plan import hours, memory
from osft_plan.memory import GIB
from osft_plan.model import Model
from osft_plan.rows import Rows
from osft_plan.training import Training
from osft_workspace import UserError

EVEN = 64
"""`auto` is a multiple of so many tokens, where it is not the longest row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a training may take; None is not checked."""

    memory: float | None = None
    """Of a GPU, in bytes."""
    hours: float | None = None
    dropped: float | None = None
    """Share of the rows."""

    @classmethod
    def of_values(cls, values: dict[str, Any]) -> Self:
        """Return the limits of the values of `preflight.training`.

        Raises:
            UserError: one is not a number.
        """
        try:
            given = {
                key: None if value in (None, "") else float(value)
                for key, value in ((key, values.get(key)) for key in KEYS)
            }
        except (TypeError, ValueError) as error:
            raise UserError(
                f"preflight.training holds {values}, expected numbers for {', '.join(KEYS)}. Correct it."
            ) from error
        gib = given["gpuMemoryGiB"]
        return cls(
            memory=None if gib is None else gib * GIB,
            hours=given["maxHours"],
            dropped=given["maxDroppedShare"],
        )


KEYS = ("gpuMemoryGiB", "maxHours", "maxDroppedShare")
"""Keys of `preflight.training`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a training takes."""

    training: Training
    """With the number of tokens that `auto` became."""
    rows: int
    """Rows, or blocks of plain text, that are trained on."""
    longest: int
    """Tokens of the longest one."""
    dropped: int
    dropped_share: float
    steps: int
    tokens: int
    """Of all steps."""
    tokens_at_a_time: int
    """Of a process, at most."""
    terms: dict[str, int]
    """Peak memory of a process, in bytes."""
    host: int
    """Memory of a node beside its GPUs, in bytes."""
    disk: dict[str, int]
    """What training writes to the workspace, in bytes."""
    seconds: float
    """Of training."""
    start_seconds: float
    """Of decomposing the weights, where no earlier run has."""
    speed: str
    """What the time is counted for."""

    @property
    def memory(self) -> int:
        """Peak memory of a process, in bytes."""
        return sum(self.terms.values())

    @property
    def hours(self) -> float:
        """Of everything before evaluation."""
        return (self.seconds + self.start_seconds) / 3600

    def facts(self) -> dict[str, Any]:
        """Return it for a record or for `--json`."""
        return {
            "method": self.training.method,
            "max_tokens_per_gpu": self.training.tokens,
            "tokens_at_a_time": self.tokens_at_a_time,
            "rows": self.rows,
            "longest_row": self.longest,
            "rows_dropped": self.dropped,
            "steps": self.steps,
            "tokens": self.tokens,
            "memory_bytes": self.memory,
            "memory": self.terms,
            "host_memory_bytes": self.host,
            "disk_bytes": sum(self.disk.values()),
            "disk": self.disk,
            "hours": round(self.hours, 3),
            "speed": self.speed,
        }


def make(model: Model, training: Training, rows: Rows, limits: Limits, *, reached: float = 0.0) -> Plan:
    """Plan a training.

    Args:
        reached: operations a second of a process's device, where they are measured; 0: by the table.

    Raises:
        UserError: no row is left.
    """
    taken = training.rows(rows)
    if not taken.count:
        raise UserError(
            f"no row is left to train on: all {taken.dropped} have {training.longest} tokens or more, or are "
            "dropped for another reason. Raise train.maxSequenceLength, or give shorter rows."
        )
    if not training.tokens:
        training = replace(training, tokens=fitting(model, training, taken, limits.memory))
    at_a_time = training.tokens_at_a_time(taken)
    if memory.keeps(model, training, training.tokens):
        training = replace(training, keep_activations=True)
    steps, each = training.steps(taken.count), training.steps_per_epoch(taken.count)
    tokens = round(taken.tokens * steps / each)
    kind = hours.Speed("this machine, measured", reached) if reached else hours.speed(training, limits.memory)
    return Plan(
        training=training,
        rows=taken.count,
        longest=taken.longest,
        dropped=taken.dropped,
        dropped_share=taken.dropped_share,
        steps=steps,
        tokens=tokens,
        tokens_at_a_time=at_a_time,
        terms=memory.terms(model, training, at_a_time),
        host=memory.host(model, training),
        disk=memory.disk(model, training),
        seconds=hours.seconds(model, training, tokens, kind.flops),
        start_seconds=0.0 if reached else hours.decomposing(model, training, kind.flops),
        speed=kind.name,
    )


def fitting(model: Model, training: Training, rows: Rows, room: float | None) -> int:
    """Return the largest number of tokens of a process at a time that fits, never less than the longest row.

    Args:
        rows: that are trained on.
        room: memory of a GPU in bytes.

    Raises:
        UserError: it is not given.
    """
    if room is None:
        raise UserError(NO_ROOM)
    least, most = rows.longest, training.most_tokens(rows)
    if needed(model, training, most) <= room:
        return most
    low, high = least // EVEN, most // EVEN
    while low < high:
        middle = (low + high + 1) // 2
        if needed(model, training, middle * EVEN) <= room:
            low = middle
        else:
            high = middle - 1
    return max(low * EVEN, least)


NO_ROOM = (
    "train.maxTokensPerGpu is auto and preflight.training.gpuMemoryGiB is empty: what fits depends on the "
    "memory of a GPU. Set preflight.training.gpuMemoryGiB, or give train.maxTokensPerGpu a number."
)


def needed(model: Model, training: Training, tokens: int) -> int:
    """Return the peak memory of a process with so many tokens at a time, in bytes."""
    return sum(memory.terms(model, training, tokens).values())
