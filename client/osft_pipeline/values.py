"""Values as maps, merged as helm merges them."""

from collections.abc import Mapping
from typing import Any


def lay(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay values over others: maps are merged, all else is replaced."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            lay(values[key], value)
        else:
            values[key] = value


def place(values: dict[str, Any], key: str, value: Any) -> None:
    """Lay one value, at a dotted key, over others."""
    for section in reversed(key.split(".")):
        value = {section: value}
    lay(values, value)
