"""Rows behind http(s)://, streamed to a temporary file."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

from osft_download import net
from osft_download.meter import Meter
from osft_download.sources import Address, DataFile, Fetched, Order
from osft_workspace import UserError

CONNECT_SECONDS = 10.0
UNUSABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.DecodingError)


def fetch(address: Address, order: Order) -> Fetched:
    """Load one file.

    Raises:
        UserError: the server says no (4xx), answers with something else, or the address is not one.
        Transient: it cannot be reached, breaks off or has a problem (5xx), after a few tries.
    """
    name = PurePosixPath(unquote(urlsplit(address.uri).path)).name or "data"
    target = order.work / "file"
    facts = net.patiently(order.run, lambda: load(address, target, name, order))
    return Fetched(uri=address.shown, files=[DataFile(target, name)], facts=facts)


def load(address: Address, target: Path, name: str, order: Order) -> dict[str, str]:
    """One try. A body that ends before its Content-Length is an error of httpx's own."""
    timeout = httpx.Timeout(order.settings.timeout_seconds, connect=CONNECT_SECONDS)
    try:
        with (
            httpx.stream("GET", address.uri, timeout=timeout, follow_redirects=True) as answer,
            target.open("wb") as file,
        ):
            if answer.status_code != 200:
                raise net.status_error(address.shown, answer.status_code)
            length = answer.headers.get("content-length")
            meter = Meter(order.run, f"loading {name}", int(length) if length else None)
            for piece in answer.iter_bytes(1 << 20):
                file.write(piece)
                meter.add(len(piece))
            return {key: answer.headers[key] for key in ("etag", "last-modified") if key in answer.headers}
    except (*UNUSABLE, ValueError) as error:  # ValueError: a host name or a header that is none
        raise UserError(
            f"{address.shown} cannot be loaded: {str(error).rstrip('.')}. Use an address that answers with "
            "the file itself."
        ) from error
    except httpx.HTTPError as error:
        known = net.network_error(address.shown, error)
        if known is None:
            raise
        raise known from error
