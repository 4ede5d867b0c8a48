"""The names that a misspelt one may stand for."""

import difflib
import re
from collections.abc import Iterable

MOST = 2
CUTOFF = 0.7


def near(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names most similar to `name`, best first, whatever their case and separators."""
    plain: dict[str, str] = {}
    for one in known:
        plain.setdefault(simple(one), one)
    return [plain[one] for one in difflib.get_close_matches(simple(name), plain, MOST, CUTOFF)]


def simple(name: str) -> str:
    """Return a name without what spellings differ in."""
    return re.sub(r"[_-]", "", name).lower()


def expected(name: str, known: Iterable[str]) -> str:
    """Return the sentence that follows an unknown name: similar names, otherwise all of them."""
    listed = list(known)
    found = near(name, listed)
    return (
        f"Did you mean {' or '.join(found)}?" if found else f"Expected one of: {', '.join(sorted(listed))}."
    )
