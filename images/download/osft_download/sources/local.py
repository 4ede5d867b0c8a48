"""Rows that lie on a volume already: pvc://<claim>/<path> and absolute paths, read where they are."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from osft_download.readers import SUFFIXES
from osft_download.sources import Address, DataFile, Fetched, Order
from osft_workspace import UserError, digest_json, sha256_file


def locate(address: Address, workspace: Path) -> Path:
    """The path behind an address.

    A claim other than the workspace's own is looked up below OSFT_PVC_ROOT, where the chart mounts it.

    Raises:
        UserError: nothing is there.
    """
    if address.scheme == "path":
        path = Path(address.rest)
    else:
        claim, _, inside = address.rest.partition("/")
        root = Path(os.environ.get("OSFT_PVC_ROOT") or "/mnt/pvc") / claim
        if claim == os.environ.get("OSFT_WORKSPACE_CLAIM"):
            root = workspace
        if not root.is_dir():
            raise UserError(
                f"{address.uri} names the claim {claim!r}, and nothing is mounted at {root}. The chart "
                "mounts the claims that values name; without it, put the claim's folder there or set "
                "OSFT_PVC_ROOT."
            )
        path = root / inside
    if path.is_symlink() and not path.exists():
        raise UserError(
            f"{path} is a link to {path.readlink()}, which is not there. Name what it should mean."
        )
    if not path.exists():
        asked = "" if address.scheme == "path" else f" ({address.uri})"
        raise UserError(f"there is no file or folder {path}{asked}.{neighbours(path)}")
    return path


def neighbours(path: Path) -> str:
    """What lies beside a missing path, as a sentence."""
    parent = path.parent
    names = sorted(item.name for item in parent.iterdir())[:5] if parent.is_dir() else []
    return f" {parent} holds {', '.join(names)}." if names else f" {parent} is empty or not there either."


def data_files(root: Path) -> list[DataFile]:
    """A file itself, or the data files below a folder, sorted by path; hidden ones are left out."""
    if root.is_file():
        return [DataFile(root, root.name)]
    if not root.is_dir():
        raise UserError(f"{root} is neither a file nor a folder. Name a file of rows, or a folder of them.")
    found = [path for path in files_below(root) if path.suffix.lower() in SUFFIXES]
    for path in found:
        if not path.is_file():
            raise UserError(f"{path} cannot be read: it is no file, or a link to nothing. Take it out.")
    return [
        DataFile(path, name)
        for name, path in sorted((path.relative_to(root).as_posix(), path) for path in found)
    ]


def files_below(root: Path) -> Iterator[Path]:
    """What is no folder below a folder, behind links too; hidden names are left out.

    A folder that may not be read is an error and not a gap; one that links lead to again is read once.
    """

    def stop(error: OSError) -> NoReturn:
        raise error

    seen = {identity(root)}
    for folder, inside, names in os.walk(root, onerror=stop, followlinks=True):
        at = Path(folder)
        new = {identity(at / name): name for name in sorted(inside, reverse=True) if name[0] != "."}
        inside[:] = sorted(name for who, name in new.items() if who not in seen)
        seen |= new.keys()
        yield from (at / name for name in sorted(names) if name[0] != ".")


def identity(folder: Path) -> tuple[int, int]:
    """What tells one folder from another, whatever its name."""
    state = folder.stat()
    return state.st_dev, state.st_ino


def fetch(address: Address, order: Order) -> Fetched:
    """Name the files; nothing is copied.

    Raises:
        UserError: nothing is there, or a folder holds no data file.
    """
    root = locate(address, order.run.workspace.root)
    files = data_files(root)
    if not files:
        raise UserError(f"{address.uri}: the folder {root} holds no {', '.join(SUFFIXES)} file.")
    return Fetched(uri=address.uri, files=files)


@lru_cache
def content_digest(root: Path) -> str:
    """Digest of what a local source holds now, so that rows edited in place make a run work again."""
    return digest_json({file.name: sha256_file(file.path) for file in data_files(root)})
