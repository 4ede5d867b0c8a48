"""Decompositions of weight matrices are kept in the workspace, for the next training on the same base model.

The singular value decomposition takes most of the start of OSFT: half a minute for a model of 135M parameters
on two cores, an hour for 8B. It depends on nothing but the matrix, so any number of runs, of ratios and of
processes can share it. A file is named by the digest of its matrix, and names the digest of what it holds.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import xxhash
from safetensors import SafetensorError
from safetensors.torch import load, save

from osft_train.decompositions import KEPT, MADE
from osft_train.patches import original, put
from osft_train.worker.lines import write_line
from osft_workspace import UserError, write_atomic
from osft_workspace.files import read_regular

SVD = "torch.linalg:svd"
NAMES = ("U", "S", "Vh")


class Factors(NamedTuple):
    """As `torch.linalg.svd` returns them."""

    U: torch.Tensor
    S: torch.Tensor
    Vh: torch.Tensor


def digest(*tensors: torch.Tensor) -> str:
    """Return a digest of tensors on the CPU: dtypes, shapes and bytes.

    It finds damage, in a tenth of the time of sha256, which would be most of the time of reading. A process
    that can forge these files can forge their digests too.
    """
    made = xxhash.xxh3_128()
    for tensor in tensors:
        made.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        made.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return str(made.hexdigest())


class Cache:
    """One folder of decompositions."""

    def __init__(self, folder: Path, svd: Callable[..., Any], say: Callable[[str], None]) -> None:
        self.folder, self.svd, self.say = folder, svd, say
        self.saves = True

    def __call__(self, matrix: torch.Tensor, full_matrices: bool = True, **options: Any) -> Any:
        """`torch.linalg.svd`; what it returns for `full_matrices=False` is kept."""
        if full_matrices or options or matrix.ndim != 2:
            return self.svd(matrix, full_matrices, **options)
        started = time.monotonic()
        key = digest(matrix.cpu())
        found, how = self.load(key, matrix), KEPT
        if found is None:
            found, how = Factors(*self.svd(matrix, full_matrices=False)), MADE
            self.save(key, found)
        seconds = round(time.monotonic() - started, 3)
        self.tell(how, shape="x".join(map(str, matrix.shape)), seconds=seconds)
        return found

    def tell(self, how: str, **facts: Any) -> None:
        """Log a line that the stage reads."""
        self.say(json.dumps({"decomposition": how, **facts}))

    def path(self, key: str) -> Path:
        """Return where the decomposition of a matrix lies."""
        return self.folder / f"{key}.safetensors"

    def load(self, key: str, matrix: torch.Tensor) -> Factors | None:
        """Return a kept decomposition, or None if it is missing or damaged."""
        rows, columns = matrix.shape
        rank = min(rows, columns)
        shapes = {"U": (rows, rank), "S": (rank,), "Vh": (rank, columns)}
        limit = matrix.element_size() * (rank * (rows + columns + 1)) + (1 << 16)
        try:
            data = read_regular(self.path(key), "a kept decomposition", limit)
            tensors = load(data)
            said = header(data).get("xxh3_128")
            if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
                raise ValueError("its tensors have other shapes")
            if any(tensor.dtype != matrix.dtype for tensor in tensors.values()):
                raise ValueError("its tensors have another dtype")
            factors = Factors(*(tensors[name] for name in NAMES))
            if said != digest(*factors):
                raise ValueError("its content has another digest")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, SafetensorError, UserError) as error:
            self.tell("damaged", file=self.path(key).name, because=" ".join(str(error).split())[:300])
            return None
        return Factors(*(factor.to(matrix.device) for factor in factors))

    def save(self, key: str, factors: Factors) -> None:
        """Keep a decomposition; where that is impossible, say so once and keep no more."""
        if not self.saves:
            return
        tensors = {name: factor.cpu().contiguous() for name, factor in zip(NAMES, factors, strict=True)}
        try:
            write_atomic(self.path(key), save(tensors, {"xxh3_128": digest(*tensors.values())}))
        except OSError as error:  # a full volume, mostly
            self.saves = False
            self.tell("not kept", because=" ".join(str(error).split())[:300])


def header(data: bytes) -> Mapping[str, Any]:
    """Return the metadata of a safetensors file that was loaded."""
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size]).get("__metadata__") or {})


def install(folder: str) -> None:
    """Put it in place; an empty folder keeps nothing."""
    if folder:
        put(SVD, Cache(Path(folder), original(SVD), write_line))
