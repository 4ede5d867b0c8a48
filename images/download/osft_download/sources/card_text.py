"""YAML that people write, read within bounds: aliases may repeat a text a billion times."""

from typing import Any

import yaml

MOST_NODES = 50_000  # values, keys and containers, what aliases repeat counted again
DEEPEST = 64


class Unbounded(ValueError):
    """A YAML text is larger than the head of a card may be; the text goes on from `it `."""


def load_yaml(text: str) -> Any:
    """Return what a YAML text says.

    Raises:
        Unbounded: it holds too many values, or is nested too deep.
        yaml.YAMLError: it is not YAML.
    """
    check_yaml(text)
    return yaml.safe_load(text)


def check_yaml(text: str) -> None:
    """Count what a YAML text would become, before anything is made of it. Raises as `load_yaml`."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str, int]] = []
    count = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor or "", count))
        elif isinstance(event, yaml.AliasEvent):
            count += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, start = open_nodes.pop()
            sizes[anchor] = count - start
        if isinstance(event, yaml.NodeEvent):
            count += 1
        if len(open_nodes) > DEEPEST:
            raise Unbounded(f"is nested more than {DEEPEST} levels deep")
        if count > MOST_NODES:
            raise Unbounded(f"holds more than {MOST_NODES:,} values, what its aliases repeat counted again")
