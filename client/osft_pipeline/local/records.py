"""Reads records and rows for a terminal: others may have written to the workspace."""

import json
from pathlib import Path
from typing import Any

from osft_workspace.text import fields

Json = dict[str, Any]


def read(path: Path) -> Json:
    """Return a JSON file with texts that a terminal may show, or nothing where it is missing."""
    return dict(fields(json.loads(path.read_text()))) if path.is_file() else {}


def first_row(path: Path) -> Json:
    """Return the first held-out row, or nothing."""
    if not path.is_file():
        return {}
    with path.open() as file:
        line = file.readline()
    return json.loads(line) if line.strip() else {}
