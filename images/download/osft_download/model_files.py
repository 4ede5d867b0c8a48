"""What a model folder must hold, what of it is worth having, and what it says of itself."""

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from osft_download.sources.local import files_below
from osft_workspace import UserError

NOT_NEEDED = ("*.gguf", "*.ggml", "*.onnx", "*.h5", "*.msgpack", "*.tflite", "*.ot", "*.pt", "*.pth")
SECOND_COPIES = ("*.bin", "*.bin.index.json", "consolidated*.safetensors")
SUBFOLDERS = ("", "additional_chat_templates")
PARTS = {
    "config.json": ("config.json",),
    "weights (*.safetensors)": ("*.safetensors", "pytorch_model*.bin"),
    "a tokenizer (tokenizer.json)": (
        *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "*.tiktoken"),
    ),
}
LICENSE = re.compile(r"^license(?:_name)?:\s*[\"']?([\w.+-]+)", re.MULTILINE)


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a file's name fits one of the patterns."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def wanted(names: Iterable[str]) -> list[str]:
    """The files worth having: no second copy of the same weights, no nested exports."""
    listed = list(names)
    unneeded = [*NOT_NEEDED, *(SECOND_COPIES if any(fits(n, ["model*.safetensors"]) for n in listed) else ())]
    split = [(name.rpartition("/")[0], name.rpartition("/")[2], name) for name in listed]
    return sorted(
        name
        for folder, base, name in split
        if folder in SUBFOLDERS and not base.startswith(".") and not fits(base, unneeded)
    )


def files_of(folder: Path) -> list[str]:
    """The wanted files of a local folder. Raises UserError when it is none."""
    if not folder.is_dir():
        raise UserError(f"{folder} is a file. A model is a folder with config.json, weights and tokenizer.")
    return wanted(path.relative_to(folder).as_posix() for path in files_below(folder) if path.is_file())


def check_parts(where: str, names: list[str]) -> None:
    """A model folder needs config, weights and tokenizer.

    Raises:
        UserError: naming what is missing.
    """
    missing = [part for part, patterns in PARTS.items() if not any(fits(name, patterns) for name in names)]
    if missing:
        raise UserError(
            f"{where} is no model: it lacks {' and '.join(missing)}. It has "
            f"{', '.join(names[:8]) or 'nothing of use'}. Name a folder that save_pretrained wrote, "
            "with its tokenizer."
        )


def indexes(names: Iterable[str]) -> list[str]:
    """The lists of shards that a loader would follow: it takes whole weights first."""
    listed = list(names)
    if {"model.safetensors", "pytorch_model.bin"} & set(listed):
        return []
    return [name for name in listed if fits(name, ["*.safetensors.index.json", "*.bin.index.json"])]


def check_shards(where: str, index: Path, names: Iterable[str]) -> None:
    """Every file that a list of shards names is there.

    Raises:
        UserError: naming the shards that are missing.
    """
    try:
        listed = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index.name} of {where} is no list of shards. Load or write the model again."
        ) from error
    if missing := sorted(listed - set(names)):
        raise UserError(
            f"{where} is no whole model: {index.name} lists {', '.join(missing[:4])}, and that is not there. "
            "Load or write the model again."
        )


def model_type(path: Path, where: str = "") -> str:
    """The architecture that config.json names.

    Raises:
        UserError: it names none.
    """
    try:
        return str(json.loads(path.read_bytes())["model_type"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{where or path} is no model's config.json: no model_type in it "
            f"({type(error).__name__}: {error})."
        ) from error


def check_safetensors(path: Path) -> None:
    """The header is there and the file ends where it says.

    Raises:
        UserError: the file is cut off, a pointer, or something else under this name.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length)) if 0 < length <= size - 8 else {}
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            ends = []
    if not ends or 8 + length + max(ends) != size:
        raise UserError(
            f"{path.name} of the model is damaged: its {size} bytes are no whole safetensors file (cut off, "
            "or a Git LFS pointer). Load or write the model again."
        )


def license_of(folder: Path) -> str | None:
    """The license that the model card names in its head, if it has one."""
    card = folder / "README.md"
    text = card.read_text(errors="replace") if card.is_file() else ""
    found = LICENSE.search(text.split("\n---", 1)[0]) if text.startswith("---") else None
    return found.group(1) if found else None
