"""What local sources hold now: an input of the run, so that rows edited in place are not "already done"."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from osft_download import sources
from osft_download.base_model import staging
from osft_download.sources import local
from osft_workspace import UserError, Workspace
from osft_workspace.asked import asked_digests
from osft_workspace.predecessors import open_record
from osft_workspace.text import excerpt


def contents(workspace: Workspace, run_id: str, given: Mapping[str, Any]) -> dict[str, str]:
    """URI -> digest of every local source; addresses are checked before a result is touched.

    A source that was removed after this very run finished counts as unchanged: its rows are in the workspace,
    and so is the model.

    Raises:
        UserError: an address that is none, or a local source that is not there.
    """
    try:
        record = open_record(workspace, run_id, "download")
        asked, nothing = asked_digests(given), {"contents": ""}
        finished = record is not None and record.asked | nothing == asked | nothing
        before = record.inputs.get("contents") if record and finished else {}
        return digests(workspace, given, before if isinstance(before, dict) else {})
    except PermissionError as error:
        raise UserError(
            f"uid {os.getuid()} may not read {excerpt(str(error.filename))}. Make it readable for group 0 or "
            "for everybody."
        ) from error


def digests(workspace: Workspace, given: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
    """As `contents`; `before` are the digests of a finished run with these very values."""
    rows = [sources.parse(uri) for uri in (*given["uri"], *given["eval_uri"])]
    todo: list[tuple[sources.Address, Callable[[Path], str]]] = [
        *((address, local.content_digest) for address in rows),
        (staging.parse(given["model_uri"]), staging.content_digest),
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
