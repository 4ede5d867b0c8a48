"""JSON files of a model folder, read with bounds: their writers may be careless or hostile."""

import json
import re
from pathlib import Path
from typing import Any

from osft_download.marks import holds_more
from osft_workspace import UserError, printable
from osft_workspace.model_sizes import ADVICE
from osft_workspace.text import sentence

LARGEST_CONFIG = 32 << 20
LARGEST_TOKENIZER = 64 << 20
"""Bytes; the largest of public models have 10 MB (a list of shards) and 35 MB."""
MOST_SETTINGS, MOST_TOKENS = 400_000, 2_000_000
"""Values; the longest list of shards has 200,000, a vocabulary with scores has three for each token."""
MERGES = re.compile(
    rb"""("merges"\s*:\s*)\[(?:[^"\[\]]++|S|\[(?:[^"\[\]]++|S)*+\])*+\]""".replace(
        b"S", rb'"(?:[^"\\]++|\\.)*+"'
    ),
    re.DOTALL,
)
"""The larger part of a tokenizer.json, of which nothing is read here."""
DEEPEST = 100  # levels; the deepest configurations of public models have fewer than ten
WHOLE = "Download the model again, save it again with save_pretrained, or choose another (model.uri)."


def read_counted(path: Path, where: str, largest: int) -> bytes:
    """Read a file of not too many values; see `read_object`. Raises UserError."""
    content, most = path.read_bytes(), MOST_SETTINGS
    if largest == LARGEST_TOKENIZER:
        content, most = MERGES.sub(rb"\1[]", content), MOST_TOKENS
    if holds_more(content, most):
        raise UserError(
            f"{printable(path.name)} of {where} holds more than {most:,} values, expected a file that "
            f"transformers writes. {ADVICE}"
        )
    return content


def read_object(path: Path, where: str, largest: int = LARGEST_CONFIG) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        where: what the folder is called in sentences.
        largest: most bytes that are read.

    Raises:
        UserError: it is too large, not JSON, not UTF-8, not an object, or nested too deeply.
    """
    size = path.stat().st_size
    if size > largest:
        raise UserError(
            f"{path.name} of {where} has {size} bytes, expected at most {largest}. It is not a file that "
            f"transformers writes. {ADVICE}"
        )
    try:
        content = read_counted(path, where, largest)
        value = json.loads(content)
    except RecursionError as error:
        raise too_deep(path.name, where) from error
    except ValueError as error:
        raise UserError(
            f"{path.name} of {where} is not JSON ({type(error).__name__}: {sentence(error, 200)}). {ADVICE}"
        ) from error
    if (encoding := json.detect_encoding(content)) != "utf-8":  # json reads it, transformers does not
        found = "begins with a byte order mark" if encoding == "utf-8-sig" else f"is {encoding.upper()}"
        raise UserError(
            f"{path.name} of {where} {found}, expected UTF-8 without byte order mark. Convert the file "
            "to that."
        )
    if not isinstance(value, dict):
        raise UserError(
            f"{path.name} of {where} is a JSON {type(value).__name__}, expected an object. {ADVICE}"
        )
    if largest == LARGEST_CONFIG and deeper_than(value, DEEPEST):
        raise too_deep(path.name, where)
    return value


def too_deep(name: str, where: str) -> UserError:
    """Return the sentence for JSON that would exhaust the stack of code that walks through it."""
    return UserError(
        f"{printable(name)} of {where} is nested more than {DEEPEST} levels deep, expected a file that "
        f"transformers writes. {ADVICE}"
    )


def deeper_than(value: Any, levels: int) -> bool:
    """Return whether a JSON value has more levels than that; needs no stack."""
    here = [value]
    for _ in range(levels):
        here = [
            item
            for one in here
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not here:
            return False
    return True
