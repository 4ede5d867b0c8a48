"""Publishing: a file or folder is there whole, or it is not there.

Written under a temporary name, synced, renamed, and the folder synced, so that a crash at any instruction
(or a power cut) leaves the old thing or the new one.
"""

import os
import shutil
import stat
import uuid
from pathlib import Path

from osft_workspace.digests import tree_files

FILE_MODE = 0o664
FOLDER_MODE = 0o2775


def fsync_path(path: Path) -> None:
    """Sync a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_mode(path: Path, mode: int) -> None:
    """Set a mode that differs. Only the owner may: what another uid left open to the group stays as it is."""
    now = stat.S_IMODE(path.stat().st_mode)
    if now == mode:
        return
    try:
        path.chmod(mode)
    except PermissionError:
        if now & mode & stat.S_IRWXG != mode & stat.S_IRWXG:
            raise


def temporary_beside(path: Path) -> Path:
    """Return an unused name in the same folder, so that the rename stays inside one file system."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a whole file or nothing.

    Raises:
        OSError: the disk is full or the folder is not writable; the old file is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE)
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_path(path.parent)


def make_durable(folder: Path) -> None:
    """Sync every file below a folder, readable by the group: the next stage may run under another uid."""
    for path in tree_files(folder):
        set_mode(path, stat.S_IMODE(path.stat().st_mode) | FILE_MODE)
        fsync_path(path)
    for inner in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        set_mode(inner, FOLDER_MODE)
        fsync_path(inner)


def publish_dir(source: Path, target: Path) -> None:
    """Move a finished folder to its final name, replacing what was there.

    Both must lie on one file system. The old folder is moved aside first and removed last.
    """
    make_durable(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    old = temporary_beside(target)
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        target.rename(old)
    source.rename(target)
    fsync_path(target.parent)
    shutil.rmtree(old, ignore_errors=True)
