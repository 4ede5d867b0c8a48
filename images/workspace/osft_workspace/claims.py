"""Folders of this machine in place of claims, which do not exist where a run has no cluster."""

import json
import os
from pathlib import Path

FOLDERS = "OSFT_FOLDERS"
"""Variable with a JSON object of claims and their folders on this machine: `osft run --local` sets it."""


def folder_of(claim: str) -> Path | None:
    """Return the folder in place of a claim as the user knows it; None on a cluster."""
    found = json.loads(os.environ.get(FOLDERS) or "{}").get(claim)
    return Path(found) if found else None


def is_local() -> bool:
    """Return whether the run is one of `osft run --local`."""
    return FOLDERS in os.environ


def shown(uri: str) -> str:
    """Return a pvc:// address as the path that stands for it on this machine; all else as it is."""
    claim, _, path = uri.removeprefix("pvc://").partition("/")
    folder = folder_of(claim) if uri.startswith("pvc://") else None
    return uri if folder is None else str(folder / path)
