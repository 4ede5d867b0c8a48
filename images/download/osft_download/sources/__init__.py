"""Where rows come from: one module for each scheme, named here.

A new source is one module with `fetch(address, order) -> Fetched` and one line in `SCHEMES`.
"""

import importlib
import re
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from osft_workspace import Run, UserError, redact_url

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
HUB_NAME = re.compile(r"((datasets|models)/)?(\w[\w.-]*/)?\w[\w.-]*(:[^@/:]+)?(@[^@]+)?")


@dataclass(frozen=True, slots=True)
class Address:
    """A URI taken apart."""

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
        return self.uri if self.scheme in ("path", "pvc") else redact_url(self.uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What fetchers may need beside the address; each takes what it knows."""

    config: str = ""
    revision: str = ""
    split: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """One fetch: where temporary files may go, what is set, and the run that wants to hear of it."""

    run: Run
    work: Path
    settings: Settings
    part: str
    """The set that the rows are for: `train` or `eval`."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file to read and the name people know it by."""

    path: Path
    name: str


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
    """Take a URI apart.

    Raises:
        UserError: it has no scheme that is known here, or it climbs out of its place with `..`.
    """
    uri = uri.strip()
    scheme, found, rest = uri.partition("://")
    scheme = scheme.lower()
    if not found:
        scheme, rest = ("path", uri) if uri.startswith("/") else ("hf" if "/" in uri else "", uri)
    if not scheme or (scheme == "hf" and rest and not HUB_NAME.fullmatch(rest)):
        raise UserError(f"{uri!r} is no address that is understood here. Expected {expected}.")
    if scheme not in known:
        raise UserError(f"unsupported scheme {scheme}:// in {redact_url(uri)}. Expected {expected}.")
    if ".." in rest.split("?", 1)[0].split("/"):
        raise UserError(f"{redact_url(uri)} has '..' in it. Write the whole path: nothing above it is read.")
    if not rest.strip("/"):
        raise UserError(f"{uri!r} names no data after its scheme. Expected {expected}.")
    return Address(scheme, rest, uri)


def fetch(address: Address, order: Order) -> Fetched:
    """Bring the files of an address to this machine, by the module of its scheme."""
    order.run.event("fetching", uri=address.shown)
    order.work.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(SCHEMES[address.scheme])
    return cast(Fetcher, module.fetch)(address, order)
