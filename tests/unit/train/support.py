"""Model folders of a few bytes, made without any library."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_train.base import Base
from osft_workspace import Run, Workspace


def write_weights(
    path: Path, tensors: Mapping[str, list[float]], metadata: dict[str, str] | None = None
) -> None:
    """A safetensors file of float32 vectors."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, values in tensors.items():
        start = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": [len(values)], "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_model(folder: Path, tensors: Mapping[str, list[float]], **config: Any) -> Path:
    """Return a model folder with one weight file."""
    write_weights(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    return folder


def some_base(folder: Path, **config: Any) -> Base:
    """Return a base model over a folder."""
    return Base(folder, {"model_type": "llama", **config}, {"uri": "hf://org/tiny"}, False)


def some_run(tmp_path: Path) -> Run:
    """Return a run of the train stage that nobody has started."""
    folder = tmp_path / "runs" / "r" / "train"
    run = Run("train", "r", Workspace(tmp_path), folder, {})
    run.dir.mkdir(parents=True, exist_ok=True)
    return run
