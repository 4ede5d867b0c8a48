"""The names that a misspelt one may stand for."""

import difflib
import re
from collections.abc import Iterable

MOST = 2
CUTOFF = 0.7


def near(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names most similar to `name`, best first, whatever their case and separators."""
    alike: dict[str, list[str]] = {}
    for one in known:
        alike.setdefault(simple(one), []).append(one)
    found = difflib.get_close_matches(simple(name), alike, MOST, CUTOFF)
    return [difflib.get_close_matches(name, alike[one], 1, 0)[0] for one in found]


def simple(name: str) -> str:
    """Return a name without what spellings differ in."""
    return re.sub(r"[_-]", "", name).lower()


def expected(name: str, known: Iterable[str]) -> str:
    """Return the sentence that follows an unknown name: similar names, otherwise all of them."""
    listed = list(known)
    if found := near(name, listed):
        return f"Did you mean {' or '.join(found)}?"
    return f"Expected one of: {', '.join(sorted(listed))}."
