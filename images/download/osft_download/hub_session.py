"""The HTTP session of the hub's client behind the bounds that every answer from outside has.

`huggingface_hub`, `datasets` and their file system all ask through one client, made by one factory.
"""

import json
from typing import Any, ClassVar

from osft_download import net
from osft_workspace import UserError
from osft_workspace.answers import Misfit, parse_json, retry_after, size
from osft_workspace.guard import Guard

LARGEST_ANSWER = 8 << 20  # bytes; a listing of 40,000 files
LARGEST_CALL = 16 << 20  # bytes of all pages together
LARGEST_CARD = 4 << 20  # bytes of a file whose size no listing says, such as README.md
MOST_VALUES = 400_000
MOST_REQUESTS = 1000
"""Requests of one call: pages of a listing and redirects together."""


class Session:
    """What one call may still use. The client's factory is the process's, so a call takes it first."""

    active: ClassVar["Session | None"] = None

    def __init__(self, endpoint: str, timeout: float) -> None:
        self.endpoint, self.timeout = endpoint, timeout
        self.begin(None)

    def begin(self, largest: int | None) -> None:
        """Begin a call; `largest` is how many bytes the file may have that it loads, None for no file."""
        if Session.active is not self:
            self.install()
            Session.active = self
        self.requests = self.bytes = 0
        self.largest = largest

    def install(self) -> None:
        """Give the hub's client the bounds."""
        import httpx2
        import huggingface_hub
        from huggingface_hub.utils._http import default_client_factory

        guard = Guard(httpx2, self.timeout, self.most, self.endpoint, self.look, readable)

        def client() -> Any:
            made, hooks = default_client_factory(), guard.hooks()
            made.event_hooks = {name: [*made.event_hooks.get(name, []), *hooks[name]] for name in hooks}
            return made

        huggingface_hub.set_client_factory(client)

    def most(self, answer: Any) -> int:
        """Return how many bytes an answer may have."""
        if self.is_api(answer):
            return min(LARGEST_ANSWER, LARGEST_CALL - self.bytes)
        return LARGEST_CARD if self.largest is None else self.largest

    def is_api(self, answer: Any) -> bool:
        """Return whether an answer is JSON of the API, not a file."""
        return "/api/" in answer.request.url.path and "/resolve/" not in answer.request.url.path

    def look(self, answer: Any) -> None:
        """Look at one answer, and read it where it is JSON.

        Raises:
            UserError: it is not what a hub answers, or the answers do not end.
            Transient: the hub has a problem; the client's own retries would obey any Retry-After.
        """
        path, status = answer.request.url.path, answer.status_code
        where = f"the hub at {self.endpoint}, asked for {path},"
        self.requests += 1
        if self.requests > MOST_REQUESTS:
            raise UserError(
                f"{where} answered {MOST_REQUESTS} requests of one call and there are more: its pages or "
                "redirects do not end. Check the address of the hub (HF_ENDPOINT)."
            )
        if status in net.PASSING_STATUS or status >= 500:
            raise net.status_error(where, status, retry_after(answer.headers))
        if status < 300 and answer.request.method != "HEAD" and self.is_api(answer):
            try:
                content = answer.read()
                self.bytes += len(content)
                parse_json(content, MOST_VALUES)
            except Misfit as error:
                raise not_a_hub(f"{where} answered {status} {error}") from error


def not_a_hub(seen: str) -> UserError:
    """Return the sentence for an answer that no hub gives."""
    return UserError(
        f"{seen}. Expected the JSON of a model hub, at most {size(LARGEST_CALL)}: check HF_ENDPOINT, and the "
        "proxy on the way."
    )


def readable(content: bytes) -> bytes:
    """Return the body of a refusal as the client can read it: an object with one text, or an empty one."""
    try:
        found = parse_json(content, MOST_VALUES)
    except Misfit:
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    return json.dumps({"error": error[:500]} if isinstance(error, str) else {}).encode()
