"""The content of local sources: an input of the run, so that edited rows are not "already done"."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from osft_download.base_model import staging
from osft_download.sources import Address, local
from osft_download.stage import Addresses
from osft_workspace import UserError, Workspace
from osft_workspace.asked import asked_digests
from osft_workspace.predecessors import open_record
from osft_workspace.text import excerpt


def contents(
    workspace: Workspace, run_id: str, inputs: Mapping[str, Any], addresses: Addresses
) -> dict[str, str]:
    """Return the digest of every local source by its URI.

    A source that was removed after this very run finished counts as unchanged: its rows are in the workspace,
    and so is the model.

    Raises:
        UserError: a local source does not exist.
    """
    try:
        record = open_record(workspace, run_id, "download")
        asked, nothing = asked_digests(inputs), {"contents": ""}
        finished = record is not None and record.asked | nothing == asked | nothing
        before = record.inputs.get("contents") if record and finished else {}
        return digests(workspace, addresses, before if isinstance(before, dict) else {})
    except PermissionError as error:
        raise UserError(
            f"uid {os.getuid()} may not read {excerpt(str(error.filename))}. Make it readable for group 0 or "
            "for all users."
        ) from error


def digests(workspace: Workspace, addresses: Addresses, before: Mapping[str, str]) -> dict[str, str]:
    """As `contents`; `before` are the digests of a finished run with these very values."""
    todo: list[tuple[Address, Callable[[Path], str]]] = [
        *((address, local.content_digest) for address in (*addresses.train, *addresses.held_out)),
        (addresses.model, staging.content_digest),
    ]
    result = {}
    for address, digest in todo:
        if address.scheme in ("pvc", "path"):
            try:
                result[address.uri] = digest(local.locate(address, workspace.root))
            except UserError:
                if address.uri not in before:
                    raise
                result[address.uri] = before[address.uri]
    return result
