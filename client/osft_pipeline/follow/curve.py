"""The losses of a training as lines of blocks, as far as its log names them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from osft_pipeline.follow.lines import parse

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 32
"""Blocks of a whole training."""
MOST_STEPS = 1e9
"""No training has as many; the numbers are a log's."""
FEWEST = 3
"""Points of a line worth drawing."""


@dataclass(slots=True)
class Losses:
    """What the log of a training pod has told so far: step -> loss."""

    training: dict[int, float] = field(default_factory=dict)
    held_out: dict[int, float] = field(default_factory=dict)
    total: int = 0
    """Steps of the whole training."""

    def add(self, lines: Iterable[str]) -> None:
        """Take what lines of the log tell; a step that was trained again counts as it was the last time."""
        for event in filter(None, map(parse, lines)):
            loss = number(event.fields.get("loss"))
            if loss is None:
                continue
            done, total = event.done or 0.0, event.total or 0.0
            if event.what == "training" and 0 < done <= total < MOST_STEPS:
                self.training[int(done)] = loss
                self.total = int(total)
            elif event.what == "held-out loss" and (step := number(event.fields.get("step"))):
                self.held_out[int(step)] = loss

    def drawn(self) -> list[tuple[str, str]]:
        """Return name and line of each loss; both lines have one scale."""
        if len(self.training) < FEWEST:
            return []
        every = [*self.training.values(), *self.held_out.values()]
        low, high = min(every), max(every)
        series = {"loss": self.training, "held-out": self.held_out}
        return [(name, line(points, self.total, low, high)) for name, points in series.items() if points]


def number(text: str | None) -> float | None:
    """Return a finite number that a text says, otherwise None."""
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def line(points: dict[int, float], total: int, low: float, high: float) -> str:
    """Return the first loss, blocks for all steps up to the last one known, and the last loss."""
    steps = sorted(points)
    cells = [cell(points, steps, at, total) for at in range(place(steps[-1], total) + 1)]
    drawn = "".join(" " if loss is None else block(loss, low, high) for loss in cells)
    return f"{points[steps[0]]:.3f} {drawn} {points[steps[-1]]:.3f}"


def place(step: int, total: int) -> int:
    """Return the number of the block that a step belongs to."""
    return min((step - 1) * WIDTH // max(total, 1), WIDTH - 1)


def cell(points: dict[int, float], steps: Sequence[int], at: int, total: int) -> float | None:
    """Return the mean loss of a block's steps; of a block without any, the last one before."""
    inside = [points[step] for step in steps if place(step, total) == at]
    if inside:
        return sum(inside) / len(inside)
    before = [step for step in steps if place(step, total) < at]
    return points[before[-1]] if before else None


def block(loss: float, low: float, high: float) -> str:
    """Return the block whose height says where a loss lies between two others."""
    share = (loss - low) / (high - low) if high > low else 0.5
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
