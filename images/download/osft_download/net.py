"""What went wrong on the network, read from the types in an error's chain, and retries of what may pass.

httpx, urllib3 (boto3) and the hub's client wrap the same few causes in their own types; their texts differ,
the causes do not.
"""

import errno
import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from osft_workspace import Run, Transient, UserError
from osft_workspace.answers import Misfit, size
from osft_workspace.deadline import SILENCES, TooSlow, deadline
from osft_workspace.exits import StageError, causes
from osft_workspace.guard import certificate_problem

T = TypeVar("T")
TRIES = 4
FIRST_PAUSE_SECONDS = 0.5
PASSING_STATUS = frozenset({408, 425, 429})
MEANING = {
    401: "it wants credentials",
    403: "access denied; a presigned link may have expired",
    404: "nothing exists at that address",
    407: "a proxy requires credentials",
    410: "the file was removed",
    429: "too many requests",
}


class Away(Transient):
    """A server that may be there again in a moment; `pause` is what it asks to wait, in seconds."""

    def __init__(self, seen: str, advice: str, pause: float = 0.0) -> None:
        super().__init__(f"{seen}, {TRIES} times. {advice}")
        self.seen, self.pause = seen, pause


def problem(error: BaseException) -> str | None:
    """Return what the network did, as the rest of a sentence about the server; None for any other error."""
    links = list(causes(error))
    names = {kind.__name__ for link in links for kind in type(link).__mro__}
    errnos = {link.errno for link in links if isinstance(link, OSError)}
    if any(isinstance(link, socket.gaierror) for link in links):
        return "has a host name that is not known (DNS)"
    if any(isinstance(link, ConnectionRefusedError) for link in links):
        return "refused the connection"
    if errnos & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return "cannot be reached from here (no route)"
    if names & {"TimeoutError", "TimeoutException", "HTTPClientTimeout", "ReadTimeoutError"}:
        return "did not answer in time"
    if names & {"ConnectionError", "RemoteProtocolError", "NetworkError", "ProtocolError", "HTTPClientError"}:
        return "closed the connection early"
    return None


def check_trust() -> None:
    """Look at the CA files that the environment names before a client fails at them without a name.

    Raises:
        UserError: a file is missing or holds no certificate.
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
    """Return the stage's error for a network error or an answer out of bounds, or None for any other."""
    for link in causes(error):
        if isinstance(link, StageError):
            return link
        if isinstance(link, TooSlow):
            return Transient(
                f"{where} sends too slowly: {link}. Start again later, or raise "
                "--timeout-seconds: a call may take five times that long."
            )
        if isinstance(link, Misfit):
            return UserError(f"{where} answered {link}. Check the address and the server.")
    if certificate := certificate_problem(error):
        return UserError(
            f"{where} {certificate} If its CA is not known here, name the file in SSL_CERT_FILE."
        )
    what = problem(error)
    if what is None:
        return None
    return Away(f"{where} {what}", "Check the address and the network, then start again.")


def status_error(where: str, status: int, pause: float = 0.0) -> StageError:
    """Return the stage's error for an HTTP status other than 200; `pause` as in `Away`."""
    if status < 400:
        return UserError(
            f"{where} answered {status} without a file. Use an address that answers with the file itself."
        )
    meaning = MEANING.get(status, "the server has a problem" if status >= 500 else "it refused the request")
    if status >= 500 or status in PASSING_STATUS:
        return Away(f"{where} answered {status} ({meaning})", "Start again later.", pause)
    return UserError(f"{where} answered {status}: {meaning}. Check the address and the credentials.")


def limited(
    run: Run, where: str, timeout: float, done: Callable[[], int] = lambda: 0
) -> AbstractContextManager[None]:
    """Give a call a total deadline and a sign of life in the log; see `deadline`."""
    return deadline(
        SILENCES * timeout,
        lambda spent: run.event("waiting for a server", where=where, seconds=round(spent)),
        done,
    )


def room(folder: Path, where: str, announced: int | None) -> int:
    """Return how many bytes a file may have: what was announced, otherwise half of the free disk.

    Raises:
        UserError: the disk is smaller than what was announced.
    """
    free = shutil.disk_usage(folder).free
    if announced is None:
        return free // 2
    if not 0 <= announced <= free:
        raise UserError(
            f"{where} announces {size(announced)} and the disk has {size(free)} free. Check the address, or "
            "give the workspace a larger volume (workspace.size)."
        )
    return announced


def check_length(where: str, came: int, announced: int | None) -> None:
    """Compare the length of a file with what was announced, where that is known.

    Raises:
        Away: it is shorter, so the answer broke off.
        UserError: it is longer, so it is not what was announced.
    """
    if announced is None or came == announced:
        return
    seen = f"{where} sent {came:,} bytes of a file that is listed with {announced:,}"
    if came < announced:
        raise Away(seen, "Start again later; if this persists, check the server.")
    raise UserError(
        f"{seen}. The file changed during the download, or the server has a problem: start again, or check "
        "the server."
    )


def with_retries(run: Run, call: Callable[[], T]) -> T:
    """Call with retries: at most `TRIES` calls to an unavailable server; any other error ends at once."""
    for attempt in range(TRIES - 1):
        try:
            return call()
        except Away as error:
            pause = max(FIRST_PAUSE_SECONDS * 2**attempt, error.pause)
            run.event("retrying", seen=error.seen, seconds=pause)
            time.sleep(pause)
    return call()
