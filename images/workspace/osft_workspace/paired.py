"""Paired statistics: both models answered the same items, so each item is its own control.

Evaluation compares base and tuned model by it, and `osft compare` the tuned models of several runs.
Distributions are those of scipy.special, which the eval image and the client have; scipy.stats takes seconds
to import. What it lacks is here: Newcombe's interval, Holm's adjustment, sizes of samples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import bdtr, ndtri, stdtr, stdtrit

LEVEL = 0.05
"""Below this p, adjusted for the number of tests, a difference is called real."""
FEW = 8
"""Losses to expect so that the exact test, which wants six and no gain, gets them four times in five."""


@dataclass(frozen=True, slots=True)
class Paired:
    """What a paired comparison says about `tuned - base`."""

    delta: float
    p_value: float
    """Two-sided: how often chance alone would give a difference at least this large."""
    interval: tuple[float, float]
    """95 % confidence interval of the difference."""
    test: str


def mcnemar(gained: int, lost: int) -> float:
    """Return p of the exact two-sided McNemar test.

    Under the null hypothesis each item that changed is a fair coin. Items that did not change say nothing.
    """
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def wilson(successes: int, n: int, z: float) -> tuple[float, float]:
    """Wilson's score interval of a share."""
    share = successes / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def newcombe_paired(both: int, gained: int, lost: int, neither: int, level: float) -> tuple[float, float]:
    """Interval of a difference of two paired shares: Newcombe's square-and-add, his method 10 (1998).

    Args:
        both, gained, lost, neither: items right in both models, tuned only, base only, in none.
    """
    n = both + gained + lost + neither
    z = float(ndtri(0.5 + level / 2))
    tuned, base = (both + gained) / n, (both + lost) / n
    tuned_low, tuned_high = wilson(both + gained, n, z)
    base_low, base_high = wilson(both + lost, n, z)
    phi = correlation(both, gained, lost, neither)
    down, up = tuned - tuned_low, tuned_high - tuned
    base_down, base_up = base - base_low, base_high - base
    low = math.sqrt(max(0.0, down**2 - 2 * phi * down * base_up + base_up**2))
    high = math.sqrt(max(0.0, up**2 - 2 * phi * up * base_down + base_down**2))
    return tuned - base - low, tuned - base + high


def correlation(both: int, gained: int, lost: int, neither: int) -> float:
    """Newcombe's phi with his continuity correction for a positive association; 0 for an empty margin."""
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    if margins == 0:
        return 0.0
    product = both * neither - gained * lost
    n = both + gained + lost + neither
    if product > 0:
        product = max(product - n / 2, 0)  # type: ignore[assignment]
    return product / math.sqrt(margins)


def compare_shares(base: Sequence[bool], tuned: Sequence[bool], level: float = 0.95) -> Paired:
    """Compare right and wrong answers to the same items. Raises ValueError without items."""
    both = gained = lost = neither = 0
    for was, now in zip(base, tuned, strict=True):
        both += was and now
        gained += now and not was
        lost += was and not now
        neither += not was and not now
    n = both + gained + lost + neither
    if n == 0:
        raise ValueError("no items to compare")
    interval = newcombe_paired(both, gained, lost, neither, level)
    return Paired((gained - lost) / n, mcnemar(gained, lost), interval, "mcnemar exact")


def compare_means(
    base: Sequence[float], tuned: Sequence[float], weights: Sequence[float] | None = None, level: float = 0.95
) -> Paired:
    """Compare sums over items, divided by the sum of weights: a mean, or a loss per token.

    The items are the sample, so a ratio's spread is taken over its residuals (linearised), with Student's t.
    Where all items change by the same there is no spread to judge by: the sign test gives p, and there is
    no interval.

    Args:
        base, tuned: one number for each item, such as its summed negative log-likelihood.
        weights: what the sums are divided by, such as its tokens; 1 each when None.

    Raises:
        ValueError: no items.
    """
    share = list(weights) if weights is not None else [1.0] * len(base)
    total, n = math.fsum(share), len(base)
    if n == 0 or total <= 0:
        raise ValueError("no items to compare")
    differences = [now - was for was, now in zip(base, tuned, strict=True)]
    delta = math.fsum(differences) / total
    residuals = (
        (difference - delta * weight) ** 2 for difference, weight in zip(differences, share, strict=True)
    )
    squares = math.fsum(residuals)
    test = "paired t over rows" if weights is not None else "paired t"
    error = math.sqrt(squares * n / (n - 1)) / total if n > 1 else 0.0
    if error <= 1e-12 * max(1.0, abs(delta)):
        p_value = 1.0 if abs(delta) <= 1e-12 else min(1.0, 2 * 0.5**n)
        return Paired(delta, p_value, (-math.inf, math.inf), "sign")
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * error
    return Paired(delta, 2 * float(stdtr(n - 1, -abs(delta) / error)), (delta - half, delta + half), test)


def tested(scores: Sequence[tuple[float | None, float | None]]) -> dict[str, Any]:
    """Flips, p, interval and what the comparison could have noticed; nulls where items have no values."""
    pairs = [(was, now) for was, now in scores if was is not None and now is not None]
    nothing = dict.fromkeys(("gained", "lost", "p_value", "interval", "detectable"))
    if len(pairs) < len(scores) or not pairs:
        return {**nothing, "test": "none: the metric has no value for single items"}
    old, new = [was for was, _ in pairs], [now for _, now in pairs]
    if {*old, *new} <= {0.0, 1.0}:
        said = compare_shares([bool(was) for was in old], [bool(now) for now in new])
        gained = sum(now > was for was, now in pairs)
        lost = sum(now < was for was, now in pairs)
        detectable = detectable_drop(len(pairs), gained + lost)
        return {"gained": gained, "lost": lost, **figures(said), "detectable": detectable}
    return {**nothing, **figures(compare_means(old, new))}


def figures(said: Paired) -> dict[str, Any]:
    """Return a test's answer as JSON."""
    low, high = said.interval
    interval = [low, high] if math.isfinite(low) and math.isfinite(high) else None
    return {"p_value": said.p_value, "interval": interval, "test": said.test}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment: with it, testing many tasks raises a false alarm no more often than testing one."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(order) - rank)))
        adjusted[index] = highest
    return adjusted


def detectable_drop(n: int, flips: int, *, level: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest true drop, as a share, that a comparison like this one would notice with this power.

    Normal approximation of McNemar's test with the share of changed items seen here, and one item more
    because the exact test counts whole items. None where there are too few items for any drop.
    """
    if n < FEW:
        return None
    z = float(ndtri(1 - level / 2) + ndtri(power))
    return min(1.0, max(z * math.sqrt(flips) + 1, FEW) / n)


def items_needed(drop: float, changed: float, *, level: float = 0.05, power: float = 0.95) -> int:
    """Items with which a true drop is noticed with this power, when a share `changed` of them flips.

    Args:
        drop: share of items lost on balance, such as 0.03.
        changed: share of items that flip either way, at least `drop`.
    """
    a, b = float(ndtri(1 - level / 2)), float(ndtri(power))
    return math.ceil((a * math.sqrt(changed) + b * math.sqrt(changed - drop * drop)) ** 2 / (drop * drop))
