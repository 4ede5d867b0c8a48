"""Files and folders that others may have put in place of ours: links, pipes, devices, or something huge."""

import errno
import os
import re
import stat
from pathlib import Path

from osft_workspace.digests import tree_entries
from osft_workspace.exits import UserError
from osft_workspace.text import printable

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LONGEST_NOTE = 4096  # bytes
KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFLNK: "a link",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind(mode: int) -> str:
    """Return what lies at a path in words, by its mode."""
    return KINDS.get(stat.S_IFMT(mode), "not a file")


def status_of(path: Path) -> os.stat_result | None:
    """Return what lies at a path, links not followed, or None where nothing does."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_folder(path: Path) -> bool:
    """Return whether a folder lies at a path, and not a link to one."""
    status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def open_regular(path: Path, flags: int, what: str) -> int:
    """Open a regular file and return its descriptor; opening a pipe or a device would wait, or never end.

    Args:
        flags: as of `os.open`; with O_NOFOLLOW a link is refused too.
        what: what it should be, for the sentence: "a record".

    Raises:
        UserError: it is something else.
        OSError: as `os.open`, where nothing can be opened.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o664)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise not_regular(path, what, os.lstat(path).st_mode) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise not_regular(path, what, mode)
    return descriptor


def read_regular(path: Path, what: str, limit: int, *, follow: bool = False) -> bytes:
    """Read a small file whole.

    Args:
        what: what it should be, for the sentence: "a record".
        limit: bytes that such a file never exceeds.
        follow: whether it may be a link, as files of a mounted Secret are.

    Raises:
        UserError: it is something else than a regular file, or larger.
        OSError: as `os.open`, where nothing can be opened.
    """
    descriptor = open_regular(path, os.O_RDONLY | (0 if follow else os.O_NOFOLLOW), what)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise UserError(
                f"{printable(path)} has {size} bytes, expected {what} of at most {limit}. Remove it, or put "
                "the right file there."
            )
        return file.read(size)


def not_regular(path: Path, what: str, mode: int) -> UserError:
    return UserError(
        f"{printable(path)} is {kind(mode)}, expected {what}. Remove it, or put the right file there."
    )


def check_regular(path: Path, what: str) -> None:
    """Refuse what is at a path unless it is a regular file or nothing. Raises UserError."""
    status = status_of(path)
    if status and not stat.S_ISREG(status.st_mode):
        raise not_regular(path, what, status.st_mode)


def read_digest(path: Path) -> str | None:
    """Return the digest that a note in the cache holds, or None where it is missing or holds another text.

    Raises:
        UserError: something else than a file lies there.
    """
    try:
        text = read_regular(path, "a note with a digest", LONGEST_NOTE).decode(errors="replace")
    except FileNotFoundError:
        return None
    return text if DIGEST.fullmatch(text) else None


def real_path(folder: Path) -> Path:
    """Return where a folder lies once all links are followed. Raises UserError when they go in a circle."""
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{printable(folder)} cannot be followed: its links go in a circle. Remove the link."
        ) from error


def check_inside(root: Path, folder: Path) -> None:
    """Refuse a folder that links lead out of the workspace.

    Raises:
        UserError: its real path is not below `root`, or links go in a circle.
    """
    real = real_path(folder)
    if not real.is_relative_to(root.resolve()):
        raise UserError(
            f"{printable(folder)} is a link to {printable(real)}, expected a folder inside the "
            f"workspace {root}. Remove the link, or use another run id."
        )


def check_unlinked(base: Path, folder: Path) -> None:
    """Refuse a folder that a link below `base` leads to: it would be another run's, or another stage's.

    Raises:
        UserError: the real path is not the written one.
    """
    real = real_path(folder)
    if real != real_path(base) / folder.relative_to(base):
        raise UserError(
            f"{printable(folder)} is a link to {printable(real)}, expected a real folder. "
            "Remove the link, or use another run id."
        )


def check_plain(folder: Path, why: str) -> None:
    """Refuse a folder that holds something else than folders and regular files; nothing there is fine.

    Args:
        why: what the folder is for, for the message: "from which training resumes".

    Raises:
        UserError: it is a link or not a folder itself, or a link, a pipe, a socket or a device lies below.
    """
    status = status_of(folder)
    if status is None:
        return
    odd = [] if stat.S_ISDIR(status.st_mode) else [("", status.st_mode)]
    odd = odd or sorted((name, mode) for name, mode in tree_entries(folder) if not stat.S_ISREG(mode))
    if odd:
        name, mode = odd[0]
        raise UserError(
            f"{printable(folder / name)} is {kind(mode)}, expected only regular files and folders there, "
            f"{why}. Remove it, then start again."
        )


def check_files(folder: Path, suffixes: tuple[str, ...], what: str) -> None:
    """Refuse a pipe, a socket or a device among the files of a folder that a library will open.

    Args:
        suffixes: of the names that it opens. Links are followed, as in a mounted ConfigMap.
        what: what such a file should be, for the sentence.

    Raises:
        UserError: naming it.
    """
    for path in sorted(path for path in folder.rglob("*") if path.name.endswith(suffixes)):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # a link to nothing is the library's to report
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise not_regular(path, what, mode)
