"""Values from outside inside the card's front matter, which is YAML."""

import json
from typing import Any

from osft_workspace.redact import redact_value
from osft_workspace.text import printable


def yaml_value(value: Any) -> str:
    """Return a JSON value as YAML: escapes of JSON and of Python are escapes of YAML's quoted text."""
    return printable(json.dumps(redact_value(value), ensure_ascii=False))
