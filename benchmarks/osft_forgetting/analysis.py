"""What the results say: means with intervals over seeds, and what is forgotten at an equal held-out loss."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

from osft_forgetting.results import Line

LEVEL = 0.95
Point = tuple[float, float]
"""Fall of the held-out loss in nats per token, and change of retention in points."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds, with half the width of its interval; NaN with a single seed."""

    value: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Return Student's interval of the mean."""
        n = len(values)
        spread = statistics.stdev(values) / math.sqrt(n) if n > 1 else math.nan
        return cls(
            statistics.fmean(values), float(t.ppf((1 + LEVEL) / 2, n - 1)) * spread if n > 1 else math.nan
        )

    def shown(self, digits: int, *, sign: bool = False) -> str:
        """Return it as a table shows it."""
        width = "" if math.isnan(self.half) else f" ± {self.half:.{digits}f}"
        return f"{self.value:{'+' if sign else ''}.{digits}f}{width}"


def point(line: Line, which: str) -> Point:
    """Return what a training learned and kept, of the tuned model or of the mix that goes on."""
    was, now = line[which]["loss"]
    before, after = line[which]["kept"]
    return was - now, 100 * (after - before)


def at_equal_gain(path: Sequence[Point], gain: float) -> float | None:
    """Return the change of retention where a path from the base model first reaches a gain.

    Args:
        path: what trainings by one method learned and kept, by rising rate; it is straight
            between them.

    Returns:
        None where none of them learned so much.
    """
    at: Point = (0.0, 0.0)
    for following in path:
        if following[0] >= gain:
            if following[0] == at[0]:
                return following[1]
            part = (gain - at[0]) / (following[0] - at[0])
            return at[1] + part * (following[1] - at[1])
        at = following
    return None


def path_of(lines: Sequence[Line], data: str, method: str, seed: int) -> list[Point]:
    """Return what one method learned and kept without a mix, by rising learning rate."""
    own = [line for line in lines if (line["data"], line["method"], line["seed"]) == (data, method, seed)]
    return [point(line, "tuned") for line in sorted(own, key=lambda line: float(line["learning_rate"]))]


def beside(lines: Sequence[Line], group: Sequence[Line], which: str, other: str) -> list[Point]:
    """Return, for each seed, the change of retention of a training and of `other` at the same held-out loss.

    Seeds in which `other` never learned as much are left out.
    """
    found = []
    for line in group:
        gain, kept = point(line, which)
        same = at_equal_gain(path_of(lines, line["data"], other, line["seed"]), gain)
        if same is not None:
            found.append((kept, same))
    return found
