"""Where rows come from: one module for each scheme, named here.

A new source is one module with `fetch(address, order) -> Fetched` and one line in `SCHEMES`.
"""

import importlib
import re
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from osft_download import net
from osft_download.options import Options
from osft_workspace import Run, UserError, claims, printable, redact_url
from osft_workspace.addresses import find_hub
from osft_workspace.paths import CLAIM

SCHEMES = {
    "hf": "osft_download.sources.hf",
    "s3": "osft_download.sources.s3",
    "http": "osft_download.sources.http",
    "https": "osft_download.sources.http",
    "pvc": "osft_download.sources.local",
    "path": "osft_download.sources.local",
}
WRITTEN = (
    "hf://<org>/<dataset>, s3://<bucket>/<key>, https://<address>, pvc://<claim>/<path> or an absolute path"
)
HUB_NAME = re.compile(r"((datasets|models)/)?(\w[\w.-]*/)?\w[\w.-]*(:[^@/:<>]+)?(@[^@<>]+)?", re.ASCII)
PLACEHOLDER = re.compile(r"[^/]*[<>]")
"""A host or bucket as documentation writes it, such as <bucket>."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed URI."""

    scheme: str
    rest: str
    """What follows `scheme://`; a whole path for `path`."""
    uri: str
    """As the user wrote it; may hold secrets."""

    @property
    def shown(self) -> str:
        """The URI for logs, records and sentences. In hf:// `@` names a revision, not a user."""
        if self.scheme == "hf":
            return f"hf://{self.rest}"
        return claims.shown(self.uri) if self.scheme in ("path", "pvc") else redact_url(self.uri)


@dataclass(frozen=True, slots=True)
class Order:
    """One fetch: where temporary files may go, what is set, and the run that wants to hear of it."""

    run: Run
    work: Path
    options: Options
    part: str
    """The set that the rows are for: `train` or `eval`."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file to read and the name people know it by."""

    path: Path
    name: str
    separator: str = ""
    """What separates the cells of a CSV file, where its owner says so; empty looks at the header."""


@dataclass(slots=True, kw_only=True)
class Fetched:
    """The files of one source, in the order in which they are read."""

    uri: str
    files: list[DataFile]
    revision: str | None = None
    """Commit of the hub, where there is one."""
    facts: dict[str, str] = field(default_factory=dict)
    """What else was learned about the source: config, split, etag."""


Fetcher = Callable[[Address, Order], Fetched]


def parse(uri: str, known: Container[str] = SCHEMES, expected: str = WRITTEN) -> Address:
    """Parse a URI.

    Raises:
        UserError: it has no scheme that is known here, names no place, or climbs out of it with `..`.
    """
    uri = uri.strip()
    if not uri.isprintable():
        raise UserError(
            f"'{printable(uri, 200)}' is not a supported address: it holds a character that is not printable "
            f"or is not UTF-8. Expected {expected}."
        )
    scheme, found, rest = uri.partition("://")
    scheme = scheme.lower()
    if not found:
        scheme, rest = ("path", uri) if uri.startswith("/") else ("hf" if "/" in uri else "", uri)
    place = find_hub(rest) if scheme == "hf" else None
    if place and place.start:
        raise UserError(
            "an hf:// address holds a user or a token before the name. Expected "
            "hf://<org>/<name>[@revision]; the token goes into HF_TOKEN (secrets.hf)."
        )
    copied = scheme in known and scheme in ("s3", "http", "https") and PLACEHOLDER.match(rest)
    if not scheme or copied or (scheme == "hf" and rest and not HUB_NAME.fullmatch(rest)):
        raise UserError(
            f"{printable(redact_url(uri), 200)!r} is not a supported address. Expected {expected}."
        )
    if scheme not in known:
        raise UserError(f"unsupported scheme {scheme}:// in {redact_url(uri)}. Expected {expected}.")
    path = rest.split("?", 1)[0] if scheme in ("http", "https") else rest  # elsewhere `?` is a letter
    if ".." in path.split("/"):
        raise UserError(f"{redact_url(uri)} contains '..'. Write the full path.")
    if not rest.strip("/"):
        raise UserError(f"{redact_url(uri)!r} names no data after its scheme. Expected {expected}.")
    check_place(scheme, rest, uri)
    return Address(scheme, rest, uri)


def check_place(scheme: str, rest: str, uri: str) -> None:
    """What follows the scheme must begin with the name of a server, a bucket or a claim.

    Raises:
        UserError: it does not, or it holds keys, which sentences and records would show.
    """
    place = rest.partition("/")[0]
    if scheme in ("http", "https"):
        try:
            parts = urlsplit(uri)
            known = bool(parts.hostname) and (parts.port or 0) >= 0  # either may raise
        except ValueError:
            known = False
        if not known:
            raise UserError(f"{redact_url(uri)} is not an address. Expected {scheme}://<host>/<path>.")
    elif scheme == "s3" and (":" in place or "@" in place):
        raise UserError(
            "an s3:// address holds more than a bucket before its first slash. Expected "
            "s3://<bucket>/<key>; keys go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (secrets.s3)."
        )
    elif scheme == "pvc" and not CLAIM.fullmatch(place):
        raise UserError(
            f"{redact_url(uri)!r} names no claim. Expected pvc://<claim>/<path>, named as kubectl shows it."
        )
    elif scheme == "pvc" and "//" in rest:
        raise UserError(
            f"{redact_url(uri)!r} has nothing between two slashes. Expected pvc://<claim>/<path>: write the "
            "path without."
        )


def fetch(address: Address, order: Order) -> Fetched:
    """Copy the files of an address to this machine, by the module of its scheme."""
    order.run.event("fetching", uri=address.shown)
    order.work.mkdir(parents=True, exist_ok=True)
    if address.scheme not in ("pvc", "path"):
        net.check_trust()
    module = importlib.import_module(SCHEMES[address.scheme])
    return cast(Fetcher, module.fetch)(address, order)
