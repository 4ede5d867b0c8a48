"""Finds the run of a registered version: the version names its run, its artifact the workspace."""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from osft_pipeline.check.hub import Stay
from osft_workspace import Transient, UserError, redact_url
from osft_workspace.answers import Body, Misfit, parse_json
from osft_workspace.deadline import TooSlow
from osft_workspace.hosts import check_secret_may_travel
from osft_workspace.text import field

VERSION = re.compile(r"https?://[^/]+/(?:.*/)?api/model_registry/v\w+/model_versions/[\w-]+/?")
TOKEN = "OSFT_REGISTRY_TOKEN"
SECONDS = 15
LARGEST = 4 << 20  # bytes
MOST_VALUES = 200_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where the run of a version is."""

    run: str
    workspace: Path | None
    """A folder of this machine; None for a run on a cluster."""
    namespace: str


def is_address(name: str) -> bool:
    """Return whether a RUN is an address."""
    return "://" in name


def place_of(address: str, env: Mapping[str, str] = os.environ) -> Place:
    """Ask the registry for the run of a version. Raises UserError or Transient."""
    if not VERSION.fullmatch(address):
        raise UserError(
            f"{redact_url(address)} is not the address of a version, expected "
            "http(s)://HOST/api/model_registry/v1alpha3/model_versions/ID as `osft report` shows it."
        )
    token = env.get(TOKEN, "")
    if token:
        check_secret_may_travel(address, TOKEN, "the address of the version")
    found = get(address.rstrip("/"), token)
    properties = found.get("customProperties") or {}
    run = str((properties.get("osft_run_id") or {}).get("string_value") or "")
    if not re.fullmatch(r"[\w.-]+", run):
        raise UserError(
            f"the version {redact_url(address)} names no run (osft_run_id), expected a version that this "
            "pipeline registered. Name the run itself."
        )
    listed = get(f"{address.rstrip('/')}/artifacts", token).get("items") or []
    uris = [str(item.get("uri") or "") for item in listed if isinstance(item, dict)]
    namespace = str((properties.get("osft_namespace") or {}).get("string_value") or "")
    return Place(run, next(filter(None, (workspace_of(uri, run) for uri in uris)), None), namespace)


def workspace_of(uri: str, run: str) -> Path | None:
    """Return the workspace that a file:// address of a run's model lies in; None for any other address."""
    parts = urlsplit(uri)
    above, between, _ = unquote(parts.path).partition(f"/runs/{run}/")
    return Path(above) if parts.scheme == "file" and between else None


def get(address: str, token: str) -> dict[str, Any]:
    """Return the object at an address of the registry. Raises UserError or Transient."""
    shown = redact_url(address)
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        response: HTTPResponse = urllib.request.build_opener(Stay).open(request, timeout=SECONDS)
        with response:
            pieces = iter(lambda: response.read(1 << 16), b"")
            encoding = response.headers.get("Content-Encoding", "")
            found = parse_json(b"".join(Body(pieces, encoding, LARGEST, SECONDS)), MOST_VALUES)
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code == 429:
            raise Transient(f"{shown} answered {error.code}. Run the command again later.") from error
        raise UserError(
            f"{shown} answered {error.code}, expected a version. Correct the address, or set {TOKEN} if the "
            "registry asks for a token."
        ) from error
    except Misfit as misfit:
        raise UserError(f"{shown} answered 200 {misfit}. Correct the address.") from misfit
    except (OSError, TooSlow) as error:
        reason = field(getattr(error, "reason", error))
        raise Transient(f"{shown} did not answer ({reason}). Run the command again later.") from error
    if not isinstance(found, dict):
        raise UserError(f"{shown} answered with JSON that is not an object. Correct the address.")
    return found
