"""Files of a model that a plan reads: headers of its weights, and a config.json that a user names."""

import json
import struct
from pathlib import Path
from typing import Any

from osft_workspace import UserError, printable
from osft_workspace.model_sizes import LARGEST

LARGEST_HEADER = 100_000_000  # bytes; the format's own limit


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files, as loaders choose them."""
    whole = folder / "model.safetensors"
    return [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))


def header(path: Path) -> dict[str, Any]:
    """Return what the header of a safetensors file says of its tensors.

    Raises:
        UserError: it is not such a file, or cut off.
    """
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if not 2 <= size <= LARGEST_HEADER:
                raise ValueError("the length of its header is out of range")
            found = json.loads(file.read(size))
        tensors = {name: entry for name, entry in found.items() if name != "__metadata__"}
        for entry in tensors.values():
            if not all(type(side) is int and side >= 0 for side in entry["shape"]):
                raise ValueError("a shape is not a list of whole numbers")
    except (struct.error, ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"{printable(str(path))} is not a complete safetensors file ({printable(str(error), 120)}). "
            "Download the model again, or save it again with save_pretrained."
        ) from error
    return tensors


def read_given_config(path: Path) -> dict[str, Any]:
    """Return the config.json that a user names.

    Raises:
        UserError: it cannot be read, is too large, or is not a JSON object.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{printable(str(path))} is not the config.json of a model ({printable(str(error), 120)}). Name "
            "one that save_pretrained wrote."
        ) from error
    return found
