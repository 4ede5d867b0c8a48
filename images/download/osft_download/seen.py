"""What local sources hold now: an input of the run, so that rows edited in place are not "already done"."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from osft_download import model, sources
from osft_download.sources import local
from osft_workspace import Record, UserError, Workspace, digest_json
from osft_workspace.redact import redact_value

# What signs a link and not what it names: renewed, it is the same input, and no digest of a secret is kept.
SIGNING = re.compile(
    r"x-(amz|goog|ms)-.*|.*(token|signature|secret|password|credential).*|(api|access|subscription)[-_]?key"
    r"|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires|sig",
    re.IGNORECASE,
)
AZURE = frozenset(
    "sv ss srt sp se st spr sr sip sdd ses scid saoid suoid skoid sktid skt ske sks skv".split()
)
"""Azure's short names, which mean this only beside its `sig`."""


def contents(workspace: Workspace, run_id: str, given: Mapping[str, Any]) -> dict[str, str]:
    """URI -> digest of every local source and query; addresses are checked before a result is touched.

    A source that was removed after this very run finished counts as unchanged: its rows are in the workspace,
    and so is the model.

    Raises:
        UserError: an address that is none, or a local source that is not there.
    """
    try:
        record = Record.load(workspace.stage_dir(run_id, "download"))
        asked, nothing = redact_value(dict(given)), {"contents": None}
        finished = record is not None and record.inputs | nothing == asked | nothing
        return digests(workspace, given, record.inputs["contents"] if record and finished else {})
    except PermissionError as error:
        raise UserError(
            f"uid {os.getuid()} may not read {error.filename}. Make it readable for group 0 or for everybody."
        ) from error


def digests(workspace: Workspace, given: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
    """As `contents`; `before` are the digests of a finished run with these very values."""
    rows = [sources.parse(uri) for uri in (*given["uri"], *given["eval_uri"])]
    todo: list[tuple[sources.Address, Callable[[Path], str]]] = [
        *((address, local.content_digest) for address in rows),
        (model.parse(given["model_uri"]), model.content_digest),
    ]
    result = {}
    for number, (address, digest) in enumerate(todo):
        if address.scheme in ("http", "https", "s3") and (asked := query(address.uri)):
            result[f"{address.shown} #{number}"] = digest_json(asked)
        if address.scheme in ("pvc", "path"):
            try:
                result[address.uri] = digest(local.locate(address, workspace.root))
            except UserError:
                if address.uri not in before:
                    raise
                result[address.uri] = before[address.uri]
    return result


def query(uri: str) -> list[tuple[str, str]]:
    """The parts of a query that say what is asked for; records keep addresses without their queries."""
    parts = urlsplit(uri)
    if parts.scheme == "s3":  # there both belong to the key
        return [(parts.query, parts.fragment)] if parts.query or parts.fragment else []
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    signing = AZURE if any(name.lower() == "sig" for name, _ in pairs) else frozenset()
    return [pair for pair in pairs if not SIGNING.fullmatch(pair[0]) and pair[0].lower() not in signing]
