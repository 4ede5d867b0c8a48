"""How large the rows of an Arrow batch become in Python, before any of them is made."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Sizes = NDArray[np.int64]
MOST_AT_ONCE = 1 << 20
"""Values of lists whose sizes are held at a time."""
VALUE = 8
"""Bytes that a value counts for beside its text: a row within `LONGEST_ROW` has at most a million values."""


def row_sizes(batch: Any) -> Sizes:
    """Return the bytes of text of each row of a record batch, and `VALUE` for each value in it."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        total += sizes_of(column)
    return total


def sizes_of(column: Any) -> Sizes:
    """Return the sizes of the values of one array; a value of an unknown type counts as a number."""
    import pyarrow.compute
    import pyarrow.types as kinds

    kind, found = column.type, np.full(len(column), VALUE, dtype=np.int64)
    if isinstance(column, pyarrow.ExtensionArray):
        return sizes_of(column.storage)
    if is_text(kind):
        lengths = pyarrow.compute.binary_length(column).fill_null(0)
        found += lengths.to_numpy(zero_copy_only=False)
    elif kinds.is_dictionary(kind):
        if len(column.dictionary):
            places = column.indices.fill_null(0).to_numpy(zero_copy_only=False)
            found += sizes_of(column.dictionary)[places]
    elif kinds.is_struct(kind):
        for number in range(kind.num_fields):
            found += sizes_of(column.field(number))
    elif kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_map(kind):
        found += below(column, column.offsets.to_numpy(zero_copy_only=False))
    elif kinds.is_fixed_size_list(kind):
        begin = column.offset * kind.list_size
        found += below(column, begin + kind.list_size * np.arange(len(column) + 1, dtype=np.int64))
    elif kinds.is_run_end_encoded(kind):
        found += int(sizes_of(column.values).max(initial=0))
    return found


def is_text(kind: Any) -> bool:
    """Return whether values of a type have a length of their own."""
    import pyarrow.types as kinds

    tests = ("is_string", "is_large_string", "is_string_view", "is_binary", "is_large_binary")
    return any(getattr(kinds, test)(kind) for test in (*tests, "is_binary_view", "is_fixed_size_binary"))


def below(column: Any, offsets: Any) -> Sizes:
    """Return the sizes of what lies in each list of an array."""
    import pyarrow.types as kinds

    if not len(column):
        return np.zeros(0, dtype=np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    if last - first > MOST_AT_ONCE:
        return in_halves(column, offsets)
    children = [column.keys, column.items] if kinds.is_map(column.type) else [column.values]
    sums = np.zeros(last - first + 1, dtype=np.int64)
    for child in children:
        sums[1:] += np.cumsum(sizes_of(child[first:last]))
    return np.asarray(np.diff(sums[np.asarray(offsets) - first]), dtype=np.int64)


def in_halves(column: Any, offsets: Any) -> Sizes:
    """As `below` for lists that hold very many values; a list of them alone is not looked into."""
    if len(column) == 1:
        return np.asarray(VALUE * np.diff(offsets), dtype=np.int64)
    half = len(column) // 2
    parts = [below(column[:half], offsets[: half + 1]), below(column[half:], offsets[half:])]
    return np.concatenate(parts)
