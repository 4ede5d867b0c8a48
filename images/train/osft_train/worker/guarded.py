"""Full states are loaded without running code from them: others may write to the volume that they lie on.

mini-trainer and PyTorch's distributed checkpoints read them with pickle, which runs what a file asks for.
Here `torch.load` is held to weights (TORCH_FORCE_WEIGHTS_ONLY_LOAD, set by the stage), and the list of
tensors to the classes that it is made of.
"""

import errno
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import torch
import torch.distributed as dist

from osft_train.patches import original, put

LOADER = "mini_trainer.setup_model_for_training:dcp"
UNLOADABLE = "the full state cannot be loaded"
LONGEST_CAUSE = 300  # characters
METADATA = "torch.distributed.checkpoint.metadata"
ALLOWED = {
    *((METADATA, name) for name in ("Metadata", "MetadataIndex", "StorageMeta", "TensorProperties")),
    *((METADATA, name) for name in ("TensorStorageMetadata", "ChunkStorageMetadata", "_MEM_FORMAT_ENCODING")),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("torch", "Size"),
    ("pathlib", "PosixPath"),
}


class Unloadable(Exception):
    """A full state that is damaged, foreign, or would run code."""


@contextmanager
def loading() -> Iterator[None]:
    """Turn what a state raises while it is loaded into `Unloadable`; memory and disks are not its fault."""
    try:
        yield
    except (Unloadable, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise
        words = " ".join(str(error).split())[:LONGEST_CAUSE]
        raise Unloadable(f"{UNLOADABLE}: {type(error).__name__}: {words}") from error


@contextmanager
def agreed() -> Iterator[None]:
    """As `loading`, on all ranks at once: where one of them fails all do, each with its own word.

    Otherwise the others, perhaps on another node, report that they lost a peer, and the state stays.
    """
    failure = None
    try:
        with loading():
            yield
    except Unloadable as error:
        failure = error
    place = "cpu" if dist.get_backend() == "gloo" else torch.device("cuda", torch.cuda.current_device())
    failed = torch.tensor(int(failure is not None), dtype=torch.int32, device=place)
    dist.all_reduce(failed, dist.ReduceOp.MAX)
    if failure is not None:
        raise failure
    if failed.item():
        raise Unloadable(f"{UNLOADABLE}: another process of this training failed to load its part of it")


def member(kind: Any, name: Any) -> Enum:
    """Return a member of an enumeration, which Python 3.11.2 of the image pickles as `getattr(kind, name)`.

    Raises:
        UnpicklingError: it is something else that `getattr` would give.
    """
    if not (isinstance(kind, type) and issubclass(kind, Enum) and name in kind.__members__):
        raise pickle.UnpicklingError(f"its list of tensors asks for {name!r} of {kind!r}")
    return kind[name]


class MetadataUnpickler(pickle.Unpickler):
    """Makes the list of tensors of a distributed checkpoint, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed class or number format. Raises UnpicklingError for any other."""
        if (module, name) in ALLOWED:
            return super().find_class(module, name)
        if (module, name) == ("builtins", "getattr"):
            return member
        dtype = getattr(torch, name, None) if module == "torch" else None
        if isinstance(dtype, torch.dtype):
            return dtype
        raise pickle.UnpicklingError(f"its list of tensors names {module}.{name}")


def load_metadata(file: IO[bytes]) -> Any:
    """Read the list of tensors. Raises Unloadable where it asks for code, or for files elsewhere."""
    with loading():
        metadata = MetadataUnpickler(file).load()
        for place in metadata.storage_data.values():
            if "/" in str(place.relative_path):
                raise ValueError(f"its list of tensors points to {place.relative_path}")
        return metadata


def install() -> None:
    """Put it in place."""
    numbers = np.zeros(1, np.uint32)  # as in numpy's random state
    made_by = numbers.__reduce__()[0]
    torch.serialization.add_safe_globals([made_by, np.ndarray, np.dtype, type(numbers.dtype)])
    guarded = SimpleNamespace(dump=pickle.dump, load=load_metadata)
    put("torch.distributed.checkpoint.filesystem:pickle", guarded)
    load = original(LOADER).load

    def load_state(*args: Any, **options: Any) -> None:
        with agreed():
            load(*args, **options)

    put(LOADER, SimpleNamespace(load=load_state))
