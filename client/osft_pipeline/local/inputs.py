"""Files and folders of this machine in place of addresses: each becomes a claim with a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from osft_workspace import UserError

PREFIX = "osft-local-"
"""Begins the names of claims in place of a path of this machine."""


def claims(given: Sequence[str]) -> dict[str, Path]:
    """Return --claim as a map. Raises UsageError for anything but NAME=DIR."""
    found = {}
    for claim in given:
        name, equals, folder = claim.partition("=")
        if not (name and equals and folder):
            raise click.UsageError(f"--claim {claim!r}: expected NAME=DIR.")
        found[name] = Path(folder).resolve()
    return found


def address_flags(key: str, given: str, folders: dict[str, Path]) -> list[str]:
    """Return helm's words for `key`; see `address`."""
    return ["--set-string", f"{key}={escaped(address(key, given, folders))}"]


def address(key: str, given: str, folders: dict[str, Path]) -> str:
    """Return an address as it is, and a path as pvc:// with its claim in `folders`.

    Raises UsageError for a path that does not exist.
    """
    if "://" in given:
        return given
    path = Path(given).expanduser().resolve()
    if not path.exists():
        raise click.UsageError(
            f"--{key.partition('.')[0]} {given!r}: expected an existing path, or an address such as hf://org/name."
        )
    if any(map(str.isspace, path.name)):
        raise click.UsageError(
            f"--{key.partition('.')[0]} {given!r}: its name becomes part of an address, which has no spaces. "
            "Rename it."
        )
    claim = PREFIX + key.partition(".")[0]
    folders[claim] = path.parent
    return f"pvc://{claim}/{path.name}"


def refuse_paths(folders: Mapping[str, Path]) -> None:
    """Raise UserError where a path of this machine is meant for a cluster."""
    for claim, folder in folders.items():
        if claim.startswith(PREFIX):
            raise UserError(
                f"--{claim.removeprefix(PREFIX)} is a path below {folder} on this machine; the cluster's "
                "pods cannot read it. Upload it to S3, a Hugging Face dataset or a PersistentVolumeClaim and "
                "give its address, or add --local."
            )


def escaped(text: str) -> str:
    """Return text as helm's --set reads it back."""
    return "".join(f"\\{char}" if char in "\\,{}[]" else char for char in text)
