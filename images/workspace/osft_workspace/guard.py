"""The hooks that hold an HTTP client to the bounds of `hosts` and `answers`, for httpx and what is like it.

httpx is not imported here: a stage gives the module of its client.
"""

import re
import ssl
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from urllib.request import getproxies

from osft_workspace.answers import LARGEST_ERROR, Body
from osft_workspace.deadline import SILENCES, TooSlow
from osft_workspace.exits import UserError, causes
from osft_workspace.hosts import address_of, forbidden, kind_of_address, origin
from osft_workspace.redact import redact_url
from osft_workspace.text import excerpt

ACCEPTED = "gzip, deflate"  # what `answers` unpacks within bounds
HOST = re.compile(r"[\w.:-]+")
OTHER_HOST = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
CONNECT_SECONDS = 10.0

Answer = Any


class Guard:
    """Request and response hooks of one client.

    Args:
        http: the client's module, httpx or httpx2.
        timeout: longest silence of a server in seconds, for requests that set none.
        most: bytes that the body of an answer may have.
        token_for: the only address that an Authorization header of the client goes to; empty leaves it alone.
        look: called with each answer once its body is bounded; it may read it.
        clean: makes the body of a refusal (4xx, 5xx) fit for the client that reads it.
    """

    def __init__(
        self,
        http: ModuleType,
        timeout: float,
        most: Callable[[Answer], int],
        token_for: str = "",
        look: Callable[[Answer], None] = lambda answer: None,
        clean: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.http, self.timeout, self.most, self.look, self.clean = http, timeout, most, look, clean
        self.token_for = origin(token_for) if token_for else None

        class Stream(http.SyncByteStream):  # type: ignore[name-defined,misc]
            """A body behind the bounds."""

            def __init__(self, body: Body, close: Callable[[], None]) -> None:
                self.body, self.close = body, close

            def __iter__(self) -> Iterator[bytes]:
                return iter(self.body)

        self.stream = Stream

    def hooks(self) -> dict[str, list[Callable[[Any], None]]]:
        """Return the client's `event_hooks`."""
        return {"request": [self.request], "response": [self.response]}

    def request(self, request: Any) -> None:
        """Look at a request before it leaves, those that follow a redirect included.

        Raises:
            UserError: it would go to a link-local address.
        """
        if reason := forbidden(request.url.host):
            raise UserError(
                f"{shown(request.url)} cannot be requested: {reason}, to which no stage may send requests. "
                "Correct the address, or the server that redirects there."
            )
        if self.token_for and origin(str(request.url)) != self.token_for:
            request.headers.pop("authorization", None)
        if request.headers.get("accept-encoding", "identity") != "identity":
            request.headers["accept-encoding"] = ACCEPTED
        limits = {
            "connect": CONNECT_SECONDS,
            "read": self.timeout,
            "write": self.timeout,
            "pool": self.timeout,
        }
        given = request.extensions.get("timeout") or {}
        request.extensions["timeout"] = {
            name: min(given.get(name) or limit, limit) for name, limit in limits.items()
        }

    def response(self, answer: Answer) -> None:
        """Look at an answer before its body is read, and put the body behind its bounds.

        Raises:
            UserError: it leads where no stage may go, or came from there.
        """
        if answer.has_redirect_location:
            check_redirect(answer)
        try:
            check_peer(answer)
        except OSError as error:  # closed before all was read: the system no longer says who answered
            raise self.http.ReadError(
                f"the connection was closed: {error}", request=answer.request
            ) from error
        encoding = answer.headers.pop("content-encoding", "")
        if encoding:
            answer.headers.pop("content-length", None)
        most = LARGEST_ERROR if answer.has_redirect_location else self.most(answer)
        inner = answer.stream
        body = Body(inner, encoding, most, SILENCES * self.timeout)
        if answer.status_code >= 400:
            content = body.beginning() if answer.request.method != "HEAD" else b""
            inner.close()
            answer.stream = self.http.ByteStream(self.clean(content))
        else:
            answer.stream = self.stream(body, inner.close)
        self.look(answer)


def shown(url: Any) -> str:
    """Return an address as a sentence shows it."""
    return excerpt(redact_url(str(url)))


def check_redirect(answer: Answer) -> None:
    """Raise UserError for a redirect from https to http, or to a place where no stage may go."""
    where, to = answer.url, answer.headers["location"]
    try:
        target = where.join(to)
        if not HOST.fullmatch(target.host):
            raise ValueError("not a host")
    except Exception as error:  # the client's own type, which differs between httpx and httpx2
        raise UserError(
            f"{shown(where)} answered {answer.status_code} and redirects to '{shown(to)}', which is not an "
            "address. Use an address that answers with the file itself."
        ) from error
    if where.scheme == "https" and target.scheme != "https":
        raise UserError(
            f"{shown(where)} redirects to {shown(target)}, which is not encrypted. Expected https:// to stay "
            "https://: use the address behind the redirect if you trust it."
        )
    if reason := forbidden(target.host):
        raise UserError(
            f"{shown(where)} redirects to {shown(target)}: {reason}, to which no stage may send requests. "
            "Use another server."
        )


def check_peer(answer: Answer) -> None:
    """Raise UserError where a name led to a link-local address after it was looked up; a proxy may be one."""
    stream = answer.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None and not has_proxy() else None
    address = address_of(str(peer[0])) if peer else None
    if address is not None and kind_of_address(address) == "link-local":
        raise UserError(
            f"{shown(answer.url)} was answered by {address}, a link-local or cloud metadata address. Correct "
            "the address, or the DNS server."
        )


def has_proxy() -> bool:
    """Return whether requests may go through a proxy, which then is the peer."""
    return bool(set(getproxies()) - {"no"})


def no_answer(error: Exception, timeout: type[Exception]) -> str:
    """Return how a request ended without an answer, as the rest of a sentence.

    Args:
        timeout: the client's own type for a server that is too slow, which differs between httpx and httpx2.
    """
    what = "did not answer in time" if isinstance(error, (timeout, TooSlow)) else "cannot be reached"
    return f"{what} ({str(error) or type(error).__name__})"


def certificate_problem(error: BaseException) -> str | None:
    """Return what is wrong with a server's certificate, as the rest of a sentence, or None."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in OTHER_HOST:
                return (
                    f"has a certificate for another host ({excerpt(str(cause))}). Use the name "
                    "that the certificate was made for, or give the server a certificate for this one."
                )
            return f"has a certificate that is not trusted here ({excerpt(str(cause))})."
    return None
