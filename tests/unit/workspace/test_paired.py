"""Paired statistics against published figures, and what they find in simulated runs."""

import math
import random
from bisect import bisect_left
from functools import partial

import pytest
from scipy.stats import binom

from osft_workspace import paired

ITEMS = 724  # of the retention suite


def test_mcnemar_agrees_with_the_binomial_distribution() -> None:
    assert paired.mcnemar(0, 0) == 1
    assert paired.mcnemar(0, 6) == pytest.approx(2 / 64)
    assert paired.mcnemar(5, 7) == pytest.approx(0.774414, abs=1e-6)
    assert paired.mcnemar(7, 5) == paired.mcnemar(5, 7)
    assert paired.mcnemar(460, 541) == pytest.approx(0.0114, abs=1e-4)
    assert paired.mcnemar(10_000, 10_000) == 1


def test_newcombes_interval_is_the_one_he_published() -> None:
    low, high = paired.newcombe_paired(36, 12, 2, 0, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.0569, 0.3404)


def test_the_interval_stays_between_minus_one_and_one_at_the_ends() -> None:
    for cells in ((12, 0, 0, 0), (0, 12, 0, 0), (0, 0, 12, 0), (0, 0, 0, 12)):
        low, high = paired.newcombe_paired(*cells, 0.95)
        assert -1 - 1e-9 <= low <= high <= 1 + 1e-9


def test_a_loss_per_token_is_compared_over_rows() -> None:
    said = paired.compare_means([10.0, 20.0, 30.0], [9.0, 17.0, 26.0], [10.0, 20.0, 40.0])
    assert said.delta == pytest.approx(-8 / 70)
    # Residuals of the differences -1, -3, -4 around -8/70 for each token.
    residuals = [-1 + 80 / 70, -3 + 160 / 70, -4 + 320 / 70]
    error = math.sqrt(sum(r * r for r in residuals) * 3 / 2) / 70
    half = 4.302653 * error
    assert said.interval == pytest.approx((-8 / 70 - half, -8 / 70 + half))


def test_one_row_gives_no_interval() -> None:
    said = paired.compare_means([1.0], [0.5])
    assert (said.p_value, said.interval) == (1.0, (-math.inf, math.inf))


def test_items_that_all_change_alike_prove_nothing() -> None:
    """Two equal falls have no spread, and are as likely by chance as two tosses that agree."""
    said = paired.compare_means([2.0, 3.0], [1.5, 2.5])
    assert (said.delta, said.p_value, said.interval) == (-0.5, 0.5, (-math.inf, math.inf))
    assert paired.compare_means([2.0] * 9, [1.5] * 9).p_value == pytest.approx(2 / 2**9)


def test_the_same_model_twice_differs_by_nothing() -> None:
    losses = [1.0, 2.0, 3.0]
    assert paired.compare_means(losses, losses).p_value == 1
    assert paired.compare_shares([True, False], [True, False]).p_value == 1


def test_holm_multiplies_by_the_tests_that_are_left() -> None:
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([]) == []


def flipped(rng: random.Random, n: int, lost: float, gained: float) -> paired.Paired:
    """A base that is right on 80 %, and a tuned model that turns shares of all items wrong and right."""
    base = [rng.random() < 0.8 for _ in range(n)]
    tuned = [rng.random() >= lost / 0.8 if was else rng.random() < gained / 0.2 for was in base]
    return paired.compare_shares(base, tuned)


def flagged(said: paired.Paired) -> bool:
    return said.delta < 0 and said.p_value < 0.05


def test_a_planted_drop_of_3_points_is_flagged_19_times_in_20() -> None:
    """On the suite's own number of items, when few other answers turn (0.5 % each way)."""
    rng = random.Random(1)
    hits = sum(flagged(flipped(rng, ITEMS, 0.035, 0.005)) for _ in range(1000))
    assert hits >= 950


def test_with_more_turning_answers_more_items_are_needed() -> None:
    """Where 10 % of the answers turn, the suite misses 3 points too often; `items_needed` knows."""
    needed = paired.items_needed(0.03, 0.10)
    assert needed == 1438
    rng = random.Random(2)
    few = sum(flagged(flipped(rng, ITEMS, 0.065, 0.035)) for _ in range(400))
    enough = sum(flagged(flipped(rng, needed, 0.065, 0.035)) for _ in range(400))
    assert few < 320
    assert enough >= 370


def test_a_model_that_only_wavers_is_flagged_less_than_once_in_20() -> None:
    rng = random.Random(3)
    alarms = sum(flagged(flipped(rng, ITEMS, 0.04, 0.04)) for _ in range(1000))
    assert alarms < 50


def test_the_interval_holds_the_true_change_19_times_in_20() -> None:
    rng = random.Random(4)
    said = [flipped(rng, ITEMS, 0.05, 0.02) for _ in range(1000)]
    held = sum(low <= -0.03 <= high for low, high in (paired.interval for paired in said))
    assert 930 <= held <= 975


def power(n: int, changed: float, drop: float) -> float:
    """Return how often exact McNemar finds a true drop, summed over all counts of items that turn."""
    chance = 0.0
    for flips in range(n + 1):
        here = binom.pmf(flips, n, changed)
        if here > 1e-10:
            gained = (changed - drop) / 2 / changed
            found = bisect_left(range(flips // 2 + 1), 0.05, key=partial(chance_alone, flips))
            chance += here * binom.cdf(found - 1, flips, gained)
    return float(chance)


def chance_alone(flips: int, gained: int) -> float:
    return paired.mcnemar(gained, flips - gained)


@pytest.mark.parametrize(("n", "flips"), [(8, 0), (20, 0), (20, 10), (ITEMS, 0), (ITEMS, 9), (ITEMS, 58)])
def test_the_detectable_drop_is_noticed_four_times_in_five(n: int, flips: int) -> None:
    drop = paired.detectable_drop(n, flips)
    assert drop is not None
    assert power(n, max(flips / n, drop), drop) >= 0.8


def test_with_less_than_eight_items_no_drop_is_called_detectable() -> None:
    assert paired.detectable_drop(7, 7) is None


def test_the_readme_says_the_true_power_of_the_suite() -> None:
    assert f"{power(ITEMS, 0.05, 0.03):.3f}" == "0.951"
    assert f"{power(paired.items_needed(0.03, 0.10), 0.10, 0.03):.3f}" == "0.945"
