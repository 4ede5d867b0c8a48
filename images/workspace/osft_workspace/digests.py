"""Digests: `sha256:<hex>` of files, folders and JSON values."""

import hashlib
import json
from pathlib import Path
from typing import Any


def sha256_file(path: Path) -> str:
    """Digest of a file's bytes, in constant memory."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest_json(value: Any) -> str:
    """Digest of a JSON value that does not depend on key order."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def tree_files(root: Path) -> list[Path]:
    """Every file below a folder, in one order on every machine."""
    return sorted(
        (path for path in root.rglob("*") if path.is_file()), key=lambda p: p.relative_to(root).as_posix()
    )


def tree_digest(root: Path) -> str:
    """Digest of a folder: names and contents of its files, not times, owners or modes."""
    return digest_json({path.relative_to(root).as_posix(): sha256_file(path) for path in tree_files(root)})
