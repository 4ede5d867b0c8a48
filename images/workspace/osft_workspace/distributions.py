"""The three distributions that paired tests need, from the standard library alone.

The client and the stages compute the same statistics, and the client has no scipy. Tests compare with scipy.
"""

import math
from statistics import NormalDist

SMALLEST = 1e-300
"""In place of a zero that would be divided by."""
CLOSE = 1e-16
MOST_TERMS = 10_000
HALVINGS = 80


def normal_quantile(probability: float) -> float:
    """Return the value below which the normal distribution has this probability."""
    return NormalDist().inv_cdf(probability)


def fair_coin_cdf(heads: int, tosses: int) -> float:
    """Return the probability of at most `heads` in `tosses` of a fair coin."""
    return 1.0 if heads >= tosses else beta(tosses - heads, heads + 1, 0.5)


def student_tail(value: float, freedom: float) -> float:
    """Return the probability that Student's t is above `value`, which is 0 or more."""
    return beta(freedom / 2, 0.5, freedom / (freedom + value * value)) / 2


def student_quantile(tail: float, freedom: float) -> float:
    """Return the value above which Student's t has the probability `tail`, below 0.5."""
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > tail:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > tail else (low, middle)
    return (low + high) / 2


def beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function, by its continued fraction (Abramowitz, 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the other tail converges faster
        return 1 - beta(b, a, 1 - x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / a / fraction(a, b, x)


def fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction 1 + d1/(1 + d2/(1 + ...)) of `beta`, evaluated by Lentz's method."""
    value, above, below = 1.0, 1.0, 0.0
    for term in range(1, MOST_TERMS):
        m = term // 2
        if term % 2:
            part = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            part = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        below = 1 / (1 + part * below or SMALLEST)
        above = 1 + part / above or SMALLEST
        value *= above * below
        if abs(above * below - 1) < CLOSE:
            break
    return value
