"""What a model folder must contain, and which of its files are needed; nothing outside it is read."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from osft_workspace import UserError, printable

NOT_NEEDED = (
    *("*.gguf", "*.ggml", "*.onnx", "*.onnx_data", "*.h5", "*.msgpack", "*.tflite", "*.ot", "*.npz"),
    *("*.bin", "*.bin.index.json", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.so", "*.pyc"),
)
"""Other forms of the weights, and files that run code when they are opened."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
ADAPTERS = ("adapter_config.json", "adapter_model.*", "adapter_*.safetensors")
CODE = ("*.py",)
TEMPLATES, GENERATION = "additional_chat_templates", "custom_generate"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "*.tiktoken")
LONGEST_NAME = 200  # characters of a file's name in a sentence
LICENSE = re.compile(r"^license(?:_name)?:\s*[\"']?([\w.+-]+)", re.MULTILINE)


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a file's name fits one of the patterns."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def wanted(names: Iterable[str], *, trust: bool = False) -> list[str]:
    """Return the needed files: safetensors and what belongs to them, code only of a trusted model.

    Raises:
        UserError: the name of one is not printable UTF-8.
    """
    folders = ("", TEMPLATES, *((GENERATION,) if trust else ()))
    unneeded = (*NOT_NEEDED, *ADAPTERS, *(() if trust else CODE))
    split = [(name.rpartition("/")[0], name.rpartition("/")[2], name) for name in names]
    found = [
        name
        for folder, base, name in split
        if folder in folders and not base.startswith(".") and not fits(base, unneeded)
    ]
    for name in found:
        if not name.isprintable():  # stray bytes of a name that is not UTF-8 are not printable either
            raise UserError(
                f"the model holds a file named '{printable(name, LONGEST_NAME)}', expected names of "
                "printable UTF-8 characters. Rename or remove it."
            )
    return sorted(found)


def names_in(folder: Path, *, trust: bool = False) -> list[str]:
    """List the files of a local folder and of the subfolders that transformers reads.

    Raises:
        UserError: it is not a folder, or a subfolder lies elsewhere.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is a file. A model is a folder with config.json, weights and tokenizer.")

    def below(sub: str) -> Iterator[str]:
        at = folder / sub
        if not sub or (os.path.lexists(at) and inside(folder, sub).is_dir()):
            with os.scandir(at) as entries:
                for entry in entries:
                    if not is_folder(entry):
                        yield f"{sub}/{entry.name}" if sub else entry.name

    return [name for sub in ("", TEMPLATES, *((GENERATION,) if trust else ())) for name in below(sub)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a link to itself is neither."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def files_of(folder: Path, *, trust: bool = False) -> list[str]:
    """Return the wanted files of a local folder, each a regular file inside it.

    Raises:
        UserError: it is not a folder, or a file is a link out of it, a pipe or a device.
    """
    names = wanted(names_in(folder, trust=trust), trust=trust)
    for name in names:
        regular(folder, name)
    return names


def inside(folder: Path, name: str) -> Path:
    """Return where a name of the folder leads.

    Raises:
        UserError: out of the folder, or nowhere. Links of a hub cache to its own blobs are inside.
    """
    path, root = folder / name, folder.resolve()
    shown = printable(name, LONGEST_NAME)
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{shown} of the model folder {folder} is a broken link "
            f"({printable(link_of(path))}). Put the file there, or remove the link."
        ) from error
    places = [root]
    if root.parent.name == "snapshots" and root.parent.parent.name.startswith("models--"):
        places.append(root.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in places):
        raise UserError(
            f"{shown} of the model folder {folder} is a link to {printable(link_of(path), LONGEST_NAME)}, "
            "which is outside the folder, and only files of the folder are read. Copy the file into the "
            "folder, or remove the link."
        )
    return real


def link_of(path: Path) -> str:
    """Return what a link says, or the path itself where a folder above is the link."""
    return str(path.readlink()) if path.is_symlink() else str(path)


def regular(folder: Path, name: str) -> Path:
    """Return the regular file that a name of the folder leads to.

    Raises:
        UserError: it leads out of the folder, or to a pipe, a socket or a device.
    """
    real = inside(folder, name)
    if not stat.S_ISREG(real.stat().st_mode):
        raise UserError(
            f"{printable(name, LONGEST_NAME)} of the model folder {folder} is not a regular file but a "
            "pipe, a socket or a device. Remove it."
        )
    return real


def check_parts(where: str, names: Sequence[str]) -> None:
    """Check that config, weights and tokenizer are there.

    Args:
        names: every file, wanted or not.

    Raises:
        UserError: naming what is missing, and what to do about what is there instead.
    """
    useful = [name for name in names if "/" not in name]
    weights = [name for name in useful if fits(name, ["*.safetensors"]) and not fits(name, ADAPTERS)]
    if not weights and any(fits(name, ADAPTERS) for name in useful):
        raise UserError(
            f"{where} holds an adapter (adapter_config.json) and not a complete model, which training "
            "needs. Merge the adapter into its base model (peft: merge_and_unload; a run of this pipeline "
            "does it with train.lora.merge: true) and name the result, or name the base model (model.uri)."
        )
    others = [name for name in useful if fits(name, [*PICKLES, "*.gguf", "*.h5", "*.onnx", "*.msgpack"])]
    if not weights and "config.json" in useful and others:
        raise UserError(
            f"{where} has its weights only as {printable(others[0], LONGEST_NAME)}, expected safetensors. "
            "Save it again with save_pretrained of transformers 5, or name a model or revision with "
            "*.safetensors files (model.uri, model.revision)."
        )
    parts = {
        "config.json": "config.json" in useful,
        "weights (*.safetensors)": bool(weights),
        "a tokenizer (tokenizer.json)": any(fits(name, TOKENIZERS) for name in useful),
    }
    if missing := [part for part, there in parts.items() if not there]:
        listed = ", ".join(printable(name, 80) for name in sorted(useful)[:8] if not fits(name, NOT_NEEDED))
        raise UserError(
            f"{where} is not a model: it lacks {' and '.join(missing)}. It has {listed or 'no usable file'}. "
            "Name a folder that save_pretrained wrote, with its tokenizer."
        )


def loaded_weights(where: str, names: Sequence[str], shards: Sequence[str]) -> list[str]:
    """Return the weight files that transformers loads; it ignores all others.

    Args:
        shards: the files that the index names; empty without an index.

    Raises:
        UserError: there are weights under names that are not loaded.
    """
    if WEIGHTS in names:
        return [WEIGHTS]
    if shards:
        return sorted(set(shards))
    found = ", ".join(name for name in names if name.endswith(".safetensors"))
    raise UserError(
        f"{where} has weights as {printable(found, LONGEST_NAME)}, expected {WEIGHTS}, or several files with "
        f"{INDEX}, which is what transformers loads. Save it again with save_pretrained."
    )


def license_of(folder: Path) -> str | None:
    """Return the license that the model card names in its head, if it has one."""
    card = folder / "README.md"
    text = card.read_text(errors="replace") if card.is_file() else ""
    found = LICENSE.search(text.split("\n---", 1)[0]) if text.startswith("---") else None
    return found.group(1) if found else None
