"""JSON values that are nested deep."""

from typing import Any


def nested(depth: int) -> Any:
    """Return a list in a list, `depth` times."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value
