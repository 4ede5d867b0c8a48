"""The HTTP of boto3 behind the bounds that every answer from outside has.

boto3 asks through `before-send`: what a handler returns there stands for the server's answer.
"""

import io
import os
from collections.abc import Iterator
from typing import Any

from osft_workspace import UserError, redact_url
from osft_workspace.answers import LARGEST_ERROR, size
from osft_workspace.guard import CONNECT_SECONDS
from osft_workspace.hosts import check_credential, check_reachable, check_secret_may_travel, forbidden, origin

LARGEST_ANSWER = 4 << 20  # bytes of a listing; a thousand keys of the greatest length take 2 MB
MOST_TAGS = 100_000
MOST_REDIRECTS = 5  # boto3 follows them by calling itself, without an end
PIECE = 1 << 16
SESSION_TOKEN = "AWS_SESSION_TOKEN"
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", SESSION_TOKEN)
AWS = (".amazonaws.com", ".amazonaws.com.cn")


class Whole(io.BytesIO):
    """A body that has been read."""

    def stream(self) -> Iterator[bytes]:
        yield self.getvalue()


def check_credentials() -> None:
    """Raise UserError for keys that no header can carry."""
    for name in CREDENTIALS:
        check_credential(name, os.environ.get(name, ""), "Check the secret (secrets.s3).")


def bound(client: Any, timeout: float, verify: str | None) -> "Wire":
    """Give a client the bounds; returns what sends its requests from now on.

    Raises:
        UserError: a session token would travel in clear text, or the endpoint is a link-local address.
    """
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    endpoint = client.meta.endpoint_url
    check_reachable(endpoint, "data.s3.endpoint")
    if os.environ.get(SESSION_TOKEN):  # keys only sign what is sent
        check_secret_may_travel(endpoint, SESSION_TOKEN, "data.s3.endpoint")
    session = URLLib3Session(
        verify=verify or True, timeout=(CONNECT_SECONDS, timeout), proxies=get_environ_proxies(endpoint)
    )
    wire = Wire(session, endpoint)
    client.meta.events.register("before-send.s3", wire.send)
    return wire


class Wire:
    """Sends the requests of one client, within bounds."""

    def __init__(self, session: Any, endpoint: str) -> None:
        self.session, self.endpoint = session, endpoint
        self.redirects, self.last = 0, endpoint

    def send(self, request: Any, **_: Any) -> Any:
        """Send one request, a redirected one included; returns the answer.

        Raises:
            UserError: it would leave the endpoint, the answer is larger than S3's, or redirects do not end.
        """
        check_place(request.url, self.endpoint)
        streams, request.stream_output = request.stream_output, True
        answer = self.session.send(request)
        self.redirects = self.redirects + 1 if 300 <= answer.status_code < 400 else 0
        if self.redirects > MOST_REDIRECTS:
            raise UserError(
                f"the S3 server at {self.endpoint} redirected {self.redirects} times, expected at most "
                f"{MOST_REDIRECTS}, to the bucket's region. Check data.s3.endpoint and data.s3.region."
            )
        if not streams or answer.status_code >= 300:
            whole(answer, f"the S3 server at {self.endpoint}")
        self.last = request.url
        return answer

    def moved(self) -> str:
        """Return where the last answer came from where that is another host than the endpoint's."""
        (_, host, _), (_, known, _) = origin(self.last), origin(self.endpoint)
        return "" if host == known or host.endswith(f".{known}") else redact_url(self.last)


def check_place(url: str, endpoint: str) -> None:
    """Raise UserError for a request that would leave the endpoint, as after a redirect to another region."""
    (scheme, host, _), (wanted, known, _) = origin(url), origin(endpoint)
    inside = host == known or host.endswith(f".{known}") or (known.endswith(AWS) and host.endswith(AWS))
    if not inside or scheme != wanted or forbidden(host):
        raise UserError(
            f"the S3 server at {endpoint} leads to {redact_url(url)}, to which the keys must not be sent. "
            "Check data.s3.endpoint and data.s3.region."
        )


def whole(answer: Any, where: str) -> None:
    """Read the body of an answer other than an object, within bounds.

    Raises:
        UserError: it is larger than what S3 answers.
    """
    refuses = answer.status_code >= 300
    most, found = (LARGEST_ERROR if refuses else LARGEST_ANSWER), bytearray()
    for piece in answer.raw.stream(PIECE, decode_content=False):
        found += piece
        if len(found) > most:
            if refuses:
                found.clear()  # half an XML document is of no use
                break
            raise UserError(
                f"{where} answered {answer.status_code} with more than {size(most)}, expected a listing "
                "of at most 1,000 objects. Check data.s3.endpoint."
            )
    answer.raw.close()
    if found.count(b"<") > MOST_TAGS:
        raise UserError(
            f"{where} answered {answer.status_code} with more than {MOST_TAGS:,} XML tags, expected a "
            "listing of at most 1,000 objects. Check data.s3.endpoint."
        )
    answer.raw = Whole(bytes(found))
