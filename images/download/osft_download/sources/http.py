"""Rows behind http(s)://, streamed to a temporary file."""

import ssl
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

from osft_download import net
from osft_download.meter import Meter
from osft_download.sources import Address, DataFile, Fetched, Order
from osft_workspace import UserError, redact_url
from osft_workspace.answers import etag_of, retry_after
from osft_workspace.guard import Guard
from osft_workspace.hosts import check_credential, check_secret_may_travel

LONGEST_DATE = 40  # characters
UNUSABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.DecodingError)


def fetch(address: Address, order: Order) -> Fetched:
    """Load one file.

    Raises:
        UserError: the server denies it (4xx), answers with something else, or the address is not one.
        Transient: it cannot be reached, breaks off or has a problem (5xx), after a few tries.
    """
    check_user(address)
    name = PurePosixPath(unquote(urlsplit(address.uri).path)).name or "data"
    target = order.work / "file"
    facts = net.with_retries(order.run, lambda: load(address, target, name, order))
    return Fetched(uri=address.shown, files=[DataFile(target, name)], facts=facts)


def check_user(address: Address) -> None:
    """Raise UserError for user info that no header can carry, or that would travel in clear text."""
    user = urlsplit(address.uri).netloc.rpartition("@")[0]
    if user:
        check_credential(f"the user info of {address.shown}", unquote(user), "Correct it in data.uri.")
        check_secret_may_travel(address.uri, "user info", "data.uri")


def load(address: Address, target: Path, name: str, order: Order) -> dict[str, str]:
    """One try. A body that ends before its Content-Length is an error of httpx's own."""
    meter = Meter(order.run, f"loading {name}", None)
    timeout = order.options.timeout_seconds
    guard = Guard(httpx, timeout, lambda answer: net.room(target.parent, address.shown, length_of(answer)))
    try:
        with (
            net.limited(order.run, address.shown, timeout, lambda: meter.done),
            httpx.Client(verify=trusted(), follow_redirects=True, event_hooks=guard.hooks()) as client,
            client.stream("GET", address.uri) as answer,
            target.open("wb") as file,
        ):
            if answer.status_code != 200:
                raise net.status_error(address.shown, answer.status_code, retry_after(answer.headers))
            meter.expect(length_of(answer))
            for piece in answer.iter_bytes():
                file.write(piece)
                meter.add(len(piece))
            return facts_of(answer)
    except Exception as error:
        known = net.network_error(address.shown, error)
        if known is not None:
            raise known from error
        if not isinstance(error, (*UNUSABLE, ValueError)):  # ValueError: not a valid host name or header
            raise
        raise UserError(
            f"{address.shown} cannot be loaded: {str(error).rstrip('.')}. Use an address that answers with "
            "the file itself."
        ) from error


@lru_cache(maxsize=1)
def trusted() -> ssl.SSLContext:
    """Return whom httpx trusts by its own rules; reading the certificates takes longer than a small file."""
    return httpx.create_ssl_context()


def length_of(answer: httpx.Response) -> int | None:
    """Return the length in bytes that an answer announces."""
    length = answer.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def facts_of(answer: httpx.Response) -> dict[str, str]:
    """Return what the record says of an answer: its version, and where redirects led."""
    given = {"etag": etag_of(answer.headers.get("etag")), "last-modified": date_of(answer.headers)}
    facts = {name: value for name, value in given.items() if value}
    return facts | ({"loaded_from": redact_url(str(answer.url))} if answer.history else {})


def date_of(headers: httpx.Headers) -> str:
    """Return when a file last changed as the server says it, or nothing where that is not a date."""
    text = headers.get("last-modified", "")
    try:
        parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    return text if len(text) <= LONGEST_DATE else ""
