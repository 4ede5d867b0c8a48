"""Safetensors files as bytes: names and shapes without loading, tensors left out without loading."""

import json
import math
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from osft_workspace import write_atomic

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
COPY_BYTES = 16 * 2**20


class Tensor(NamedTuple):
    """Where a tensor lies and what it looks like."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a file and where its data begins.

    Raises:
        ValueError, struct.error: it is not a safetensors file, or its end is missing.
    """
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > path.stat().st_size:
            raise ValueError(f"{path.name} says that its header has {size} bytes, more than the file has")
        return json.loads(file.read(size)), 8 + size


def files(folder: Path) -> list[Path]:
    """Return the weight files of a model folder.

    Raises:
        FileNotFoundError: there are none, or the index names a missing one.
    """
    index = folder / INDEX
    if (folder / WHOLE).is_file():
        found = [folder / WHOLE]  # as loaders choose
    elif index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        found = [folder / name for name in names]
    else:
        found = sorted(folder.glob("*.safetensors"))
    missing = [path.name for path in found if not path.is_file()]
    if missing or not found:
        raise FileNotFoundError(f"{folder} has no {', '.join(missing) or 'weights'}")
    return found


def tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of a model folder by name."""
    found = {}
    for path in files(folder):
        header, begin = read_header(path)
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = (begin + offset for offset in entry["data_offsets"])
                found[name] = Tensor(path, entry["dtype"], tuple(entry["shape"]), start, end)
    return found


def parameters(found: dict[str, Tensor]) -> int:
    """Numbers in all tensors together."""
    return sum(math.prod(tensor.shape) for tensor in found.values())


def blocks(tensor: Tensor) -> Iterator[bytes]:
    """Yield the bytes of a tensor in portions."""
    with tensor.file.open("rb") as file:
        file.seek(tensor.start)
        left = tensor.end - tensor.start
        while left:
            block = file.read(min(COPY_BYTES, left))
            if not block:
                raise EOFError(f"{tensor.file} ends inside a tensor")
            left -= len(block)
            yield block


def same_bytes(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same numbers in the same format."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return all(a == b for a, b in zip(blocks(one), blocks(other), strict=True))


def rewrite(path: Path, kept: dict[str, Tensor]) -> None:
    """Replace a file by one with these tensors only, marked as PyTorch's."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in kept.items():
        size = tensor.end - tensor.start
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format asks for aligned data
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in kept.values():
            file.writelines(blocks(tensor))
    partial.replace(path)


def leave_out(folder: Path, names: Collection[str]) -> None:
    """Take tensors out of a model folder; files that need no change stay as they are."""
    found = tensors(folder)
    for path in files(folder):
        own = {name: tensor for name, tensor in found.items() if tensor.file == path}
        kept = {name: tensor for name, tensor in own.items() if name not in names}
        metadata = read_header(path)[0].get("__metadata__") or {}
        if len(kept) < len(own) or metadata.get("format") != "pt":
            rewrite(path, kept)
    index = folder / INDEX
    if index.is_file():
        told = json.loads(index.read_text())
        told["weight_map"] = {name: file for name, file in told["weight_map"].items() if name not in names}
        told["metadata"] = {"total_size": sum(t.end - t.start for t in tensors(folder).values())}
        write_atomic(index, json.dumps(told, indent=2, sort_keys=True) + "\n")
