"""Digests: `sha256:<hex>` of files, folders and JSON values."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def sha256_file(path: Path) -> str:
    """Digest of a file's bytes, in constant memory."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest_json(value: Any) -> str:
    """Digest of a JSON value that does not depend on key order."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def tree_entries(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and mode of all that is not a folder below a folder; links are not followed.

    A file that vanishes meanwhile, such as another process's temporary file, does not count.
    """
    todo = [""]
    while todo:
        start = todo.pop()
        with os.scandir(root / start) as entries:
            for entry in entries:
                name = f"{start}/{entry.name}" if start else entry.name
                if entry.is_dir(follow_symlinks=False):
                    todo.append(name)
                    continue
                try:
                    mode = entry.stat(follow_symlinks=False).st_mode
                except FileNotFoundError:
                    continue
                yield name, mode


def tree_files(root: Path) -> list[Path]:
    """Return every regular file below a folder, in one order on every machine; links are not followed."""
    return [root / name for name, mode in sorted(tree_entries(root)) if stat.S_ISREG(mode)]


def tree_digest(root: Path) -> str:
    """Digest of a folder: names and contents of its files, not times, owners or modes.

    A link, a pipe or a device counts by its name and kind, so that a folder with one has another digest.
    """
    return digest_json(
        {
            name: sha256_file(root / name) if stat.S_ISREG(mode) else f"{stat.S_IFMT(mode):o}"
            for name, mode in sorted(tree_entries(root))
        }
    )
