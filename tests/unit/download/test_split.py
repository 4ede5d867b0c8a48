"""The split holds for every number of rows, fraction, subset and seed."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from osft_download.split import pick, train_rows

COUNTS = st.integers(0, 400)


@given(COUNTS, st.integers(0, 500), st.booleans(), st.integers(0, 99))
def test_a_pick_is_a_seeded_selection_of_the_asked_size(
    count: int, subset: int, shuffle: bool, seed: int
) -> None:
    first = pick(array("Q", range(count)), subset, shuffle=shuffle, seed=seed)
    again = pick(array("Q", range(count)), subset, shuffle=shuffle, seed=seed)
    assert first == again
    assert len(first) == len(set(first)) == (min(subset, count) if subset else count)
    assert set(first) <= set(range(count))
    if not shuffle:
        assert list(first) == sorted(first)


@given(st.integers(100, 400), st.integers(0, 99))
def test_another_seed_gives_another_order_of_the_same_rows(count: int, seed: int) -> None:
    one = pick(array("Q", range(count)), 0, shuffle=True, seed=seed)
    two = pick(array("Q", range(count)), 0, shuffle=True, seed=seed + 1)
    assert one != two
    assert sorted(one) == sorted(two) == list(range(count))


@given(COUNTS, st.floats(0.001, 1))
def test_both_sides_of_a_split_get_their_share(count: int, fraction: float) -> None:
    train = train_rows(count, fraction)
    assert 0 <= train <= count
    if count >= 2 and fraction < 1:
        assert 1 <= train < count
        assert abs(train - count * fraction) <= 1
    else:
        assert train == count


def test_the_order_of_a_seed_never_changes() -> None:
    """A change would give finished runs other rows than their records say."""
    assert list(pick(array("Q", range(10)), 0, shuffle=True, seed=42)) == [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]
    assert list(pick(array("Q", range(10)), 4, shuffle=False, seed=42)) == [1, 2, 3, 7]
