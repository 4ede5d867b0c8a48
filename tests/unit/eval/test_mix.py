"""Which share is measured next, which is chosen, and which items choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osft_eval.mix.halves import CHOOSING, JUDGING, Half
from osft_eval.mix.rule import GRID, Scored, choose, next_share, scored


def curve(share: float, *, fall: float, best: float = 1.0) -> Scored:
    """Return a share of a model whose fall grows with the share, and whose loss is lowest at `best`."""
    loss = 3.0 + (share - best) ** 2
    return Scored(share, loss, 3.0 + best**2 - loss, 0.8, fall * share, 0.2)


def search(fall: float, best: float, tolerance: float, most: int) -> list[Scored]:
    """Measure shares until nothing is left to find."""
    seen: list[Scored] = []
    while len(seen) < most and (share := next_share(seen, tolerance)) is not None:
        seen.append(curve(share, fall=fall, best=best))
    return seen


@given(
    fall=st.floats(0.1, 20), best=st.floats(0.2, 1.5), tolerance=st.floats(0.1, 5), most=st.integers(4, 20)
)
def test_a_search_measures_no_share_twice_and_ends_near_the_best(
    fall: float, best: float, tolerance: float, most: int
) -> None:
    seen = search(fall, best, tolerance, most)
    shares = [one.share for one in seen]
    assert len(set(shares)) == len(shares)
    assert all(0 < share <= 1 for share in shares)
    assert shares[: len(GRID)] == list(GRID)
    found = choose(seen, tolerance)
    if found.holds(tolerance) and len(seen) < most and found.share < 1:
        allowed = min(best, (tolerance - 0.2) / fall)
        assert found.share == pytest.approx(min(1, allowed), abs=1 / 16)


def test_a_share_that_falls_too_far_is_not_chosen_however_much_it_learned() -> None:
    seen = [curve(share, fall=4) for share in (0.25, 0.5, 0.75, 1)]
    assert choose(seen, 2.3).share == 0.5
    assert choose(seen, 9).share == 1
    assert choose(seen, 0.1).share == 0.25, "none holds: the one that fell least"


def test_a_comparison_is_by_item_and_knows_its_own_uncertainty() -> None:
    one = scored(0.5, ([10.0, 20.0], [8.0, 19.0]), 10, ([1, 1, 0, 1], [1, 0, 0, 0]))
    assert (one.loss, one.gain) == (pytest.approx(2.7), pytest.approx(0.3))
    assert (one.kept, one.fall) == (0.25, 50.0)
    assert one.error == pytest.approx(100 * (1 / 3 / 4) ** 0.5)
    same = scored(0.5, ([1.0], [1.0]), 1, ([1, 0], [1, 0]))
    assert (same.gain, same.fall, same.error) == (0, 0, 0)


@given(seed=st.integers(0, 1 << 40), name=st.text(max_size=9), count=st.integers(0, 400))
def test_every_item_is_in_one_half_and_the_halves_are_equal(seed: int, name: str, count: int) -> None:
    choosing, judging = (Half(half, seed).of(name, count) for half in (CHOOSING, JUDGING))
    assert sorted([*choosing, *judging]) == list(range(count))
    assert len(judging) - len(choosing) in (0, 1)
    assert choosing == Half(CHOOSING, seed).of(name, count)


def test_another_seed_gives_other_halves() -> None:
    assert Half(CHOOSING, 1).of("task", 100) != Half(CHOOSING, 2).of("task", 100)
    assert Half(CHOOSING, 1).of("task", 100) != Half(CHOOSING, 1).of("other", 100)
