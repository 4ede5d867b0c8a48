"""Which share is measured next, and which one is chosen."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

GRID = (1.0, 0.75, 0.5, 0.25)
"""Shares that are measured in any case."""
SMALLEST = 1 / 64
"""Below it hardly anything that was learned is left."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What the choosing half says of one share."""

    share: float
    loss: float
    """Of held-out rows, nats per token."""
    gain: float
    """Nats per token that it is better than the base model."""
    kept: float
    """Mean score of the items."""
    fall: float
    """Points that it is worse than the base model, on the same items."""
    error: float
    """Standard error of `fall`."""

    def holds(self, tolerance: float) -> bool:
        """Return whether it keeps what the base model knew: the fall and its error stay within tolerance."""
        return self.fall + self.error <= tolerance

    def shown(self, tolerance: float) -> dict[str, Any]:
        """Return it as results.json has it."""
        return {**asdict(self), "holds": self.holds(tolerance)}


def scored(
    share: float,
    losses: tuple[Sequence[float], Sequence[float]],
    tokens: int,
    scores: tuple[Sequence[float], Sequence[float]],
) -> Scored:
    """Compare one share with the base model.

    Args:
        losses: of the rows, in nats, of the base model and of the mix.
        tokens: of the rows together.
        scores: of the items, from 0 to 1, of the base model and of the mix.
    """
    was, now = (math.fsum(side) / tokens for side in losses)
    n = len(scores[0])
    falls = [old - new for old, new in zip(*scores, strict=True)]
    fall = math.fsum(falls) / n
    spread = math.fsum((one - fall) ** 2 for one in falls) / max(1, n - 1)
    return Scored(
        share=share,
        loss=now,
        gain=was - now,
        kept=math.fsum(scores[1]) / n,
        fall=100 * fall,
        error=100 * math.sqrt(spread / n),
    )


def choose(seen: Sequence[Scored], tolerance: float) -> Scored:
    """Return the share that learned most among those that keep what the base model knew.

    Where none does, the one that fell least; the gates judge it as any other.
    """
    holding = [one for one in seen if one.holds(tolerance)]
    if holding:
        return max(holding, key=lambda one: (one.gain, -one.share))
    return min(seen, key=lambda one: (one.fall + one.error, one.share))


def next_share(seen: Sequence[Scored], tolerance: float) -> float | None:
    """Return the share to measure next, or None where nothing is left to find.

    First the grid. Where the tuned model itself is the best of it, that is all. Otherwise the middle between
    the best share and the next larger one that was measured; where that is too close, the next smaller one.
    Zero, the base model itself, counts as measured.
    """
    for share in GRID:
        if share not in {one.share for one in seen}:
            return share
    best = choose(seen, tolerance).share
    if best == 1:
        return None
    shares = [0.0, *(one.share for one in seen)]
    above = min((share for share in shares if share > best), default=best)
    below = max(share for share in shares if share < best)
    for near in (above, below):
        if abs(near - best) > 2 * SMALLEST:
            return (near + best) / 2
    return None
