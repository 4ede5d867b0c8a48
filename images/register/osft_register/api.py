"""A small client of Model Registry's REST API, for both of its versions.

Each official client speaks one of them, gives up on a version that has no artifact, and believes the server's
search by name, which is SQL's LIKE: `_` matches every character. This one asks the server what it speaks and
compares names itself. Every call may be repeated: names are unique in the registry's database, so a repeated
create is a Conflict and not a second thing.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from osft_register.address import Address, not_an_address
from osft_workspace import Transient, UserError, redact_text, redact_url
from osft_workspace.exits import causes

VERSIONS = ("v1", "v1alpha3")
WAITS = (0.5, 1.0)  # seconds between the tries of one call; a longer outage is for the next start
PAGE = 100

Thing = dict[str, Any]


class Conflict(Exception):
    """The name is taken."""


class NotThere(UserError):
    """The server has nothing at this path, or nothing that a registry would have there."""


def trust(ca_file: Path | None, skip_verify: bool) -> ssl.SSLContext:
    """Whom to trust. Raises UserError when the CA file is missing or holds no certificate."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise UserError(
                f"{ca_file} cannot be used as a CA file ({error}). Expected a PEM certificate (register.tls)."
            ) from error
    if skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Registry:
    """A connection to one server. Errors are UserError or Transient with a sentence, Conflict or NotThere."""

    def __init__(
        self,
        address: Address,
        token: str,
        tls: ssl.SSLContext | bool,
        timeout: float,
        say: Callable[..., None],
    ) -> None:
        self.url, self.token, self.say, self.api = address.url, token, say, ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(verify=tls, timeout=timeout, headers=headers)

    def connect(self) -> str:
        """Ask which version of the API the server speaks, the newer one first, and return it."""
        seen = ""
        for self.api in VERSIONS:
            try:
                self.call("GET", "registered_models", params={"pageSize": "1"}, wanted="items")
                return self.api
            except NotThere as error:
                seen = error.message
        raise UserError(
            f"{self.url} answers, but not as a Model Registry: neither /api/model_registry/v1 nor v1alpha3 "
            f"is there ({seen}). Expected the address of its REST service (register.address)."
        )

    def link(self, kind: str, number: str) -> str:
        """URL of one thing."""
        return f"{self.url}/api/model_registry/{self.api}/{kind}/{number}"

    def list(self, path: str, **params: str) -> Iterator[Thing]:
        """Everything at a path, page by page."""
        token = ""
        while True:
            page = self.call(
                "GET", path, params={**params, "pageSize": str(PAGE), "nextPageToken": token}, wanted="items"
            )
            yield from page["items"] or []
            token = page.get("nextPageToken") or ""
            if not token:
                return

    def model_named(self, name: str) -> Thing | None:
        """The registered model of exactly this name."""
        try:
            found = self.call("GET", "registered_model", params={"name": name})
            if found["name"] == name:
                return found
        except NotThere:
            pass  # or several names look alike to the server
        return next((model for model in self.list("registered_models") if model["name"] == name), None)

    def create(self, path: str, body: Mapping[str, Any]) -> Thing:
        """Make a thing. Raises Conflict when its name is taken."""
        return self.call("POST", path, body=body)

    def update(self, kind: str, thing: Thing, body: Mapping[str, Any]) -> Thing:
        """Change a thing where it differs. The server resets the state of whatever is patched without it."""
        if all(thing.get(key) == value for key, value in body.items()):
            return thing
        return self.call("PATCH", f"{kind}/{thing['id']}", body={"state": thing.get("state", "LIVE"), **body})

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        wanted: str = "id",
    ) -> Thing:
        """One call with its tries; returns the answer, which has the key `wanted`."""
        url = f"{self.url}/api/model_registry/{self.api}/{path}"
        for wait in (*WAITS, None):
            try:
                return self.read(self.http.request(method, url, params=params, json=body), wanted)
            except httpx.TransportError as error:
                away = self.explain(error)
            except httpx.DecodingError as error:
                raise NotThere(f"seen: an answer that cannot be unpacked ({error})") from error
            except (httpx.InvalidURL, UnicodeError) as error:
                raise not_an_address(self.url) from error
            except Transient as error:
                away = error
            if wait is None:
                raise away
            self.say("registry away, trying again", seconds=wait, seen=away.message)
            time.sleep(wait)
        raise AssertionError("unreachable")

    def read(self, answer: httpx.Response, wanted: str) -> Thing:
        """The JSON object of an answer, or the error that its status means."""
        status = answer.status_code
        try:
            content = answer.json()
        except ValueError:
            content = None
        content = content if isinstance(content, dict) else {}
        if answer.is_success and wanted in content:
            return content
        said = redact_text(str(content.get("message") or answer.reason_phrase))[:500]
        if status in (401, 403):
            raise self.forbidden(status, said)
        if status == 429 or status >= 500:
            raise Transient(
                f"the registry at {self.url} answered {status} ({said}). Trying again later may help."
            )
        if status == 409:
            raise Conflict(said)
        if status in (400, 422) and "message" in content:
            raise UserError(
                f"the registry at {self.url} refused a value ({status}): {said.rstrip('.')}. Change it and "
                "start again."
            )
        to = answer.headers.get("location")
        raise NotThere(f"seen: {status} {said}{f' to {redact_url(to)}' if to else ''} at {answer.url.path}")

    def forbidden(self, status: int, said: str) -> UserError:
        """Why the server lets us not in, and the way out."""
        if not self.token:
            remedy = "It wants a token: set OSFT_REGISTRY_TOKEN (secrets.registry) or --token-file"
        elif status == 401:
            remedy = "It does not know the token that was sent: renew it (secrets.registry)"
        else:
            remedy = "The token's owner may not do this: grant the right to write to the registry"
        return UserError(f"the registry at {self.url} answered {status} ({said}). {remedy}.")

    def explain(self, error: httpx.TransportError) -> Transient:
        """A failed connection in a sentence. Raises UserError for TLS: time does not change a certificate."""
        for cause in causes(error):
            if isinstance(cause, ssl.SSLError):
                raise UserError(
                    f"no trusted TLS connection to {self.url} ({cause}). Give the CA that signed its "
                    "certificate (--ca-file, register.tls), or an http:// address if it has no TLS."
                ) from error
        what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
        return Transient(
            f"the registry at {self.url} {what} ({str(error) or type(error).__name__}). Check "
            "register.address if it stays so; the model is safe in the workspace."
        )
