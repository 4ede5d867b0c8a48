"""The comments of values.yaml, which values.schema.json repeats as descriptions.

python -m tests.chart.prose        writes the descriptions again
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.chart.rendering import CHART, Object

SCHEMA = CHART / "values.schema.json"


def comments() -> dict[str, str]:
    """Return the `# --` comment of every key of values.yaml, by the key's path."""
    found: dict[str, str] = {}
    stack: list[str] = []
    text: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if start := re.match(r"\s*# -- (.*)", line):
            text = [start[1]]
        elif (more := re.match(r"\s*# (?!@)(.*)", line)) and text:
            text.append(more[1])
        elif key := re.match(r"( *)(\w+):", line):
            stack = [*stack[: len(key[1]) // 2], key[2]]
            if text:
                found[".".join(stack)] = " ".join(text)
            text = []
    return found


def nodes(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Yield every schema under `properties` and `items`, with its path; definitions start with #."""
    yield path, schema
    for key, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{key}" if path and not path.endswith("#") else path + key)
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{path}[]")
    for key, child in schema.get("definitions", {}).items():
        yield from nodes(child, f"#{key}")


def value_of(path: str) -> str:
    """Return the value whose comment describes a schema: every stage's pod takes what stageDefaults takes."""
    return path.replace("#pod", "stageDefaults") if path.startswith("#pod.") else path


def main() -> None:
    schema: dict[str, Any] = json.loads(SCHEMA.read_text())
    said = comments()
    for path, node in nodes(schema):
        if text := said.get(value_of(path)):
            node["description"] = text
    SCHEMA.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
