"""Rows that lie on a volume already: pvc://<claim>/<path> and absolute paths, read where they are."""

import os
from functools import lru_cache
from pathlib import Path

from osft_download.names import PACKED, SUFFIXES
from osft_download.sources import Address, DataFile, Fetched, Order
from osft_download.sources.card import CARD, configs_of
from osft_download.sources.folder import files_below, listing, regular
from osft_download.sources.splits import files_of_split
from osft_workspace import UserError, digest_json, printable, sha256_file
from osft_workspace.predecessors import check_published

__all__ = ["content_digest", "fetch", "files_below", "locate"]
KERNEL = ("/proc", "/sys")
"""File systems that show processes and their environment; what lies there is not data."""


def locate(address: Address, workspace: Path) -> Path:
    """Return the path behind an address.

    A claim other than the workspace's own is looked up below OSFT_PVC_ROOT, where the chart mounts it.

    Raises:
        UserError: nothing is there, or it lies outside of the claim.
    """
    root = None if address.scheme == "path" else claim_root(address, workspace)
    path = Path(address.rest) if root is None else root / address.rest.partition("/")[2]
    if path.is_symlink() and not path.exists():
        raise UserError(
            f"{printable(path)} is a link to {printable(path.readlink())}, which does not exist. Name "
            "the file that it should point to."
        )
    if not path.exists():
        asked = "" if address.shown == str(path) else f" ({printable(address.shown)})"
        raise UserError(f"there is no file or folder {printable(path)}{asked}.{neighbours(path)}")
    real = path.resolve()
    if root is not None and not real.is_relative_to(root.resolve()):
        raise UserError(
            f"{printable(address.shown)} points outside its claim, to {printable(real)}, and only what lies "
            "on the claim is read. Copy the data there, or name the claim that holds it."
        )
    if any(real.is_relative_to(place) for place in KERNEL):
        raise UserError(
            f"{printable(path)} lies in {KERNEL[0]} or {KERNEL[1]}, expected a file or folder of data."
        )
    return path


def claim_root(address: Address, workspace: Path) -> Path:
    """Return the folder where a claim is mounted. Raises UserError when there is none."""
    claim = address.rest.partition("/")[0]
    if claim == os.environ.get("OSFT_WORKSPACE_CLAIM"):
        root = workspace
    else:
        root = Path(os.environ.get("OSFT_PVC_ROOT") or "/mnt/pvc") / claim
    if not root.is_dir():
        raise UserError(
            f"{printable(address.shown)} names the claim {claim!r}, and nothing is mounted at {root}. The "
            "chart mounts the claims that values name; without it, put the claim's folder there or set "
            "OSFT_PVC_ROOT."
        )
    return root.resolve()  # on a machine without claims a link to the user's folder, which messages name


def neighbours(path: Path) -> str:
    """Return what lies beside a missing path, as a sentence."""
    parent = path.parent
    names = sorted(item.name for item in parent.iterdir())[:5] if parent.is_dir() else []
    shown = printable(", ".join(names), 400)
    place = printable(parent)
    return f" {place} holds {shown}." if names else f" {place} is empty, or does not exist either."


def check_root(root: Path) -> None:
    """Check that there is something to read. Raises UserError for pipes, sockets and devices."""
    if not root.is_file() and not root.is_dir():
        raise UserError(
            f"{printable(root)} is neither a file nor a folder. Name a file of rows, or a folder of them."
        )


def fetch(address: Address, order: Order) -> Fetched:
    """Name the files of one split; nothing is copied.

    Raises:
        UserError: nothing is there, or a folder holds no data file, or not the split.
    """
    root, shown = locate(address, order.run.workspace.root), printable(address.shown)
    check_root(root)
    if root.is_file():
        if order.options.split and order.part == "train":
            order.run.event("data.split has no effect", source=shown, seen="the source is a single file")
        return Fetched(uri=address.shown, files=[DataFile(regular(root), root.name)])
    found = listing(root)
    if not found.data:
        held = printable(", ".join(found.left_out[:10]), 400)
        raise UserError(
            f"{shown}: the folder {printable(root)} holds no {', '.join(SUFFIXES)} file, packed "
            f"({', '.join(PACKED)}) or not.{f' It holds {held}.' if held else ''} Name a folder that does."
        )
    others = [*found.left_out, *found.data]
    split, names = files_of_split(order, shown, found.splits, others, "the folder")
    files = [DataFile(found.data[name], name) for name in names]
    facts = {"split": split} if len(found.splits) > 1 or split != "train" else {}
    return Fetched(uri=address.shown, files=files, facts=facts)


@lru_cache
def content_digest(root: Path) -> str:
    """Return the digest of what a local source holds now: rows edited in place make a run work again."""
    check_root(root)
    check_published(root)
    files = {root.name: regular(root)} if root.is_file() else listing(root).data
    if configs_of(root):
        files = {**files, CARD: root / CARD}  # it decides which of them are read
    return digest_json({name: sha256_file(path) for name, path in files.items()})
