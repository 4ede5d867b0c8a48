"""What went wrong on the network, read from the types in an error's chain, and patience for what may pass.

httpx, urllib3 (boto3) and the hub's client wrap the same few causes in their own types; their texts differ,
the causes do not.
"""

import errno
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from osft_workspace import Run, Transient, UserError
from osft_workspace.exits import StageError, causes

T = TypeVar("T")
TRIES = 4
FIRST_PAUSE_SECONDS = 0.5
PASSING_STATUS = frozenset({408, 425, 429})
MEANING = {
    401: "it wants credentials",
    403: "it does not let this client in; a presigned link may have expired",
    404: "there is nothing at that address",
    407: "a proxy wants credentials",
    410: "what was there is gone",
    429: "it is asked too often",
}


class Away(Transient):
    """A server that may be there again in a moment."""

    def __init__(self, seen: str, advice: str) -> None:
        super().__init__(f"{seen}, {TRIES} times. {advice}")
        self.seen = seen


def trouble(error: BaseException) -> str | None:
    """What the network did, as the rest of a sentence about the server; None for any other error."""
    links = list(causes(error))
    names = {kind.__name__ for link in links for kind in type(link).__mro__}
    errnos = {link.errno for link in links if isinstance(link, OSError)}
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in links):
        return "has a certificate that is not trusted here"
    if any(isinstance(link, socket.gaierror) for link in links):
        return "has a host name that is not known (DNS)"
    if any(isinstance(link, ConnectionRefusedError) for link in links):
        return "refused the connection"
    if errnos & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return "cannot be reached from here (no route)"
    if names & {"TimeoutError", "TimeoutException", "HTTPClientTimeout", "ReadTimeoutError"}:
        return "did not answer in time"
    if names & {"ConnectionError", "RemoteProtocolError", "NetworkError", "ProtocolError", "HTTPClientError"}:
        return "broke the connection off"
    return None


def check_trust() -> None:
    """Look at the CA files that the environment names before a client fails at them without a name.

    Raises:
        UserError: one is not there or holds no certificate.
    """
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        file = os.environ.get(name)
        try:
            if file:
                ssl.create_default_context(cafile=file)
        except OSError as error:  # ssl.SSLError is one
            raise UserError(
                f"{name} names {file}, which cannot be used as a CA file ({error.strerror or error}). "
                "Expected a file of PEM certificates: mount it there, or unset the variable."
            ) from error


def network_error(where: str, error: BaseException) -> StageError | None:
    """The stage's error for a network error, or None for any other."""
    what = trouble(error)
    if what is None:
        return None
    if "certificate" in what:
        return UserError(f"{where} {what}. Mount its CA and name the file in SSL_CERT_FILE.")
    return Away(f"{where} {what}", "Check the address and that this pod can reach it, then start again.")


def status_error(where: str, status: int) -> StageError:
    """The stage's error for an HTTP status other than 200."""
    if status < 400:
        return UserError(
            f"{where} answered {status} and no file. Use an address that answers with the file itself."
        )
    meaning = MEANING.get(status, "the server has a problem" if status >= 500 else "it refused the request")
    if status >= 500 or status in PASSING_STATUS:
        return Away(f"{where} answered {status} ({meaning})", "Start again later.")
    return UserError(f"{where} answered {status}: {meaning}. Check the address and the credentials.")


def patiently(run: Run, call: Callable[[], T]) -> T:
    """Call until it works; who is away gets `TRIES` chances, any other error ends at once."""
    for attempt in range(TRIES - 1):
        try:
            return call()
        except Away as error:
            pause = FIRST_PAUSE_SECONDS * 2**attempt
            run.event("trying again", seen=error.seen, seconds=pause)
            time.sleep(pause)
    return call()
