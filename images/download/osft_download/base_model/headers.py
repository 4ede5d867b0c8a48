"""Headers of safetensors files: names and shapes without the weights, used only if they are consistent."""

import json
import math
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from osft_workspace import UserError, printable

LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
MOST_DIMENSIONS = 16
LONGEST_NAME = 500  # characters of a tensor's name
BLOCK = 16 << 20
POINTER = b"version https://git-lfs"
BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Bits of one number of each format that safetensors knows."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a header says of one tensor; `start` and `end` count from the beginning of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    file: Path


class Lie(ValueError):
    """A header that does not add up; its text says why."""


def read_header(path: Path) -> dict[str, Tensor]:
    """Read the tensors of one file.

    Raises:
        UserError: it is cut off, a Git LFS pointer, not this format, or its header does not add up.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = header_length(file, size)
            header = parsed(file.read(length))
        data = size - 8 - length
        found = {
            name: tensor(name, entry, data, 8 + length, path)
            for name, entry in header.items()
            if name != "__metadata__"
        }
        check_places(found, 8 + length, size)
    except Lie as error:
        raise UserError(
            f"{printable(path.name)} of the model is damaged: {error}. Expected a complete safetensors file. "
            "Download the model again, or save it again with save_pretrained."
        ) from None
    return found


def header_length(file: BinaryIO, size: int) -> int:
    """Read the length of the header, in bytes."""
    begin = file.read(8)
    if POINTER.startswith(begin) and begin:
        raise Lie("it is a Git LFS pointer without the file's content (cut off, or a Git LFS pointer)")
    if len(begin) < 8:
        raise Lie(f"it has {size} bytes and no header")
    (length,) = struct.unpack("<Q", begin)
    if length > LONGEST_HEADER:
        raise Lie(f"its header would have {length} bytes, and the format allows {LONGEST_HEADER}")
    if not 2 <= length <= size - 8:
        raise Lie(f"its header would have {length} bytes, and the file has {size}")
    return int(length)


def parsed(text: bytes) -> dict[str, Any]:
    """Parse the header."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            raise Lie("its header names something twice")
        return value

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except RecursionError:
        raise Lie("its header is nested too deeply") from None
    except Lie:
        raise
    except ValueError as error:
        raise Lie(f"its header is not JSON ({type(error).__name__})") from None
    if not isinstance(header, dict) or not set(header) - {"__metadata__"}:
        raise Lie("its header lists no tensors")
    notes = header.get("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(item, str) for item in notes.values()):
        raise Lie("the metadata in its header is not a map of texts")
    return header


def whole_numbers(value: Any) -> bool:
    """Return whether this is a list of integers from 0 on; true and false are not."""
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def tensor(name: str, entry: Any, data: int, begin: int, path: Path) -> Tensor:
    """Take one entry apart.

    Args:
        data: bytes behind the header.
        begin: where they begin.
    """
    shown = printable(name, 80)
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise Lie(f"the tensor name '{shown}' is too long or holds control characters")
    if not isinstance(entry, dict) or {"dtype", "shape", "data_offsets"} - set(entry):
        raise Lie(f"{shown} lacks its format, shape or place in the header")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise Lie(f"{shown} has the number format {printable(dtype, 40)}, which safetensors does not know")
    if not whole_numbers(shape) or len(shape) > MOST_DIMENSIONS:
        raise Lie(f"{shown} has the shape {printable(shape, 80)}, expected a list of whole numbers")
    if not whole_numbers(offsets) or len(offsets) != 2:
        raise Lie(f"{shown} has the offsets {printable(offsets, 80)}, expected two whole numbers")
    start, end = offsets
    if start > end:
        raise Lie(f"the offsets of {shown} are reversed ({start}, {end})")
    if end > data:
        raise Lie(f"{shown} ends at byte {end}, and the file holds {data} bytes of weights (cut off)")
    if math.prod(shape) * BITS[dtype] != (end - start) * 8:
        raise Lie(f"{shown} of shape {shape} in {dtype} does not fit its {end - start} bytes")
    return Tensor(dtype, tuple(shape), begin + start, begin + end, path)


def check_places(found: dict[str, Tensor], begin: int, size: int) -> None:
    """Raise Lie where tensors overlap, leave gaps, or do not fill the file."""
    places = sorted((item.start, item.end, name) for name, item in found.items())
    if places[0][0] != begin:
        raise Lie(f"{printable(places[0][2], 80)} does not begin where the header ends")
    for (_, end, one), (start, _, other) in pairwise(places):
        if start < end:
            raise Lie(f"{printable(one, 80)} and {printable(other, 80)} overlap")
        if start > end:
            raise Lie(f"there is a gap of {start - end} bytes before {printable(other, 80)}")
    if places[-1][1] != size:
        raise Lie(f"{size - places[-1][1]} bytes after its last tensor belong to no tensor")


def same_bytes(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same bytes; stops at the first difference."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    with one.file.open("rb") as left, other.file.open("rb") as right:
        left.seek(one.start)
        right.seek(other.start)
        rest = one.end - one.start
        while rest:
            block = min(BLOCK, rest)
            if left.read(block) != right.read(block):
                return False
            rest -= block
    return True


def rewrite_without(path: Path, names: Sequence[str]) -> None:
    """Write a file again without some of its tensors, in the place of the old one."""
    kept = {name: item for name, item in read_header(path).items() if name not in names}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, item in kept.items():
        end = at + item.end - item.start
        header[name] = {"dtype": item.dtype, "shape": list(item.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format asks for aligned data
    partial = path.with_suffix(".partial")
    with path.open("rb") as source, partial.open("wb") as target:
        target.write(struct.pack("<Q", len(text)) + text)
        for item in kept.values():
            source.seek(item.start)
            copy_bytes(source, target, item.end - item.start)
    shutil.copymode(path, partial)
    partial.replace(path)


def copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    """Copy that many bytes."""
    while count:
        block = source.read(min(BLOCK, count))
        target.write(block)
        count -= len(block)
