"""A small client of Model Registry's REST API, for both of its versions.

Each official client supports one of them, fails on a version that has no artifact, and relies on the server's
search by name, which is SQL's LIKE. This one detects what the server supports and compares names itself.
Every call may be repeated: names are unique in the registry's database, so a repeated create is a Conflict.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from osft_register.address import Address, not_an_address
from osft_register.things import Thing, check_named, check_page, check_thing
from osft_workspace import Transient, UserError, excerpt, redact_url
from osft_workspace.answers import Misfit, parse_json, retry_after
from osft_workspace.deadline import SILENCES, TooSlow, deadline
from osft_workspace.exits import causes
from osft_workspace.guard import Guard, certificate_problem, no_answer
from osft_workspace.text import sentence

VERSIONS = ("v1", "v1alpha3")
WAITS = (0.5, 1.0)  # seconds between the tries of one call; a longer outage is for the next start
PAGE = 100
LONGEST_SAID = 500  # characters of a server's words in a sentence
LARGEST_ANSWER = 4 << 20  # bytes; a page of 100 versions with 40 kB of properties each
MOST_VALUES = 200_000
MOST_PAGES = 1000
LISTING = 4  # times what one call may take, for all pages of a list together


class Busy(Transient):
    """The server asks to wait `pause` seconds."""

    def __init__(self, message: str, pause: float) -> None:
        super().__init__(message)
        self.pause = pause


class Conflict(Exception):
    """The name is taken."""


class NotThere(UserError):
    """The server has nothing at this path, or nothing that a registry has there; `seen` is what came."""

    def __init__(self, message: str, seen: str) -> None:
        super().__init__(message)
        self.seen = seen


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
        self.timeout = timeout
        guard = Guard(httpx, timeout, lambda answer: LARGEST_ANSWER, address.url)
        self.http = httpx.Client(verify=tls, headers=headers, event_hooks=guard.hooks())

    def connect(self) -> str:
        """Return the version of the API that the server supports; the newer one is tried first."""
        seen = ""
        for self.api in VERSIONS:
            try:
                self.call("GET", "registered_models", params={"pageSize": "1"}, check=check_page)
                return self.api
            except NotThere as error:
                seen = error.seen
        raise UserError(
            f"{self.url} answers, but not as a Model Registry: neither /api/model_registry/v1 nor v1alpha3 "
            f"is there (seen: {seen}). Expected the address of its REST service (register.address)."
        )

    def link(self, kind: str, number: str) -> str:
        """URL of one thing."""
        return f"{self.url}/api/model_registry/{self.api}/{kind}/{number}"

    def list(self, path: str, **params: str) -> Iterator[Thing]:
        """Everything at a path, page by page.

        Raises:
            NotThere: the pages do not end, or hold something else than things.
            Transient: they do not end in time.
        """
        token, seen, started = "", set(), time.monotonic()
        check = check_thing if path.endswith("artifacts") else check_named
        for _ in range(MOST_PAGES):
            wanted = {**params, "pageSize": str(PAGE), "nextPageToken": token}
            page = self.call("GET", path, params=wanted, check=check_page)
            yield from (self.checked(f"GET {path}", check, item) for item in page[0])
            token = page[1]
            if not token:
                return
            if token in seen:
                raise self.unfit(f"GET {path}", "with the same page token twice, so that its list has no end")
            seen.add(token)
            spent = time.monotonic() - started
            if spent > LISTING * SILENCES * self.timeout:
                raise Transient(
                    f"the registry at {self.url} lists {path} too slowly: {len(seen)} pages came in "
                    f"{spent:.0f} s and there are more. Start again later, or raise --timeout-seconds."
                )
        raise self.unfit(f"GET {path}", f"with {MOST_PAGES:,} pages of {PAGE} and does not end")

    def model_named(self, name: str) -> Thing | None:
        """Return the registered model of exactly this name."""
        try:
            found: Thing = self.call("GET", "registered_model", params={"name": name}, check=check_named)
            if found["name"] == name:
                return found
        except NotThere:
            pass  # or several names look alike to the server
        return next((model for model in self.list("registered_models") if model["name"] == name), None)

    def create(self, path: str, body: Mapping[str, Any]) -> Thing:
        """Make a thing. Raises Conflict when its name is taken."""
        check = check_thing if path.endswith("artifacts") else check_named
        made: Thing = self.call("POST", path, body=body, check=check)
        return made

    def update(self, kind: str, thing: Thing, body: Mapping[str, Any]) -> Thing:
        """Change a thing where it differs. The server resets the state of whatever is patched without it."""
        if all(thing.get(key) == value for key, value in body.items()):
            return thing
        fields = {"state": thing.get("state", "LIVE"), **body}
        changed: Thing = self.call("PATCH", f"{kind}/{thing['id']}", body=fields, check=check_thing)
        return changed

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        check: Callable[[Any], Any],
    ) -> Any:
        """One call with its tries; returns what `check` makes of the answer."""
        url = f"{self.url}/api/model_registry/{self.api}/{path}"
        for wait in (*WAITS, None):
            try:
                with deadline(SILENCES * self.timeout, self.waiting):
                    answer = self.http.request(method, url, params=params, json=body)
                return self.read(answer, f"{method} {path}", check)
            except (httpx.InvalidURL, UnicodeError) as error:
                raise not_an_address(self.url) from error
            except Misfit as error:
                raise self.unfit(f"{method} {path}", str(error)) from error
            except (httpx.TransportError, TooSlow) as error:
                away: Transient = self.explain(error)
            except Transient as error:
                away = error
            if wait is None:
                raise away
            wait = max(wait, getattr(away, "pause", 0.0))
            self.say("registry unavailable, retrying", seconds=wait, seen=away.message)
            time.sleep(wait)
        raise AssertionError("unreachable")

    def waiting(self, spent: float) -> None:
        """Give a sign of life."""
        self.say("waiting for the registry", seconds=round(spent))

    def checked(self, asked: str, check: Callable[[Any], Thing], item: Any) -> Thing:
        """One item of a page. Raises NotThere where it is not a thing."""
        try:
            return check(item)
        except Misfit as error:
            raise self.unfit(asked, str(error)) from error

    def unfit(self, asked: str, came: str) -> NotThere:
        """Return the sentence for an answer that a registry does not give."""
        return NotThere(
            f"{self.url}, asked {asked}, answered {came}. Expected the REST service of a Model Registry: "
            "check register.address and any proxy in between.",
            f"{came} at /api/model_registry/{self.api}/{asked.partition(' ')[2]}",
        )

    def read(self, answer: httpx.Response, asked: str, check: Callable[[Any], Any]) -> Any:
        """Return what `check` makes of an answer, or the error that its status means."""
        status, content, misfit = answer.status_code, None, ""
        try:
            content = parse_json(answer.content, MOST_VALUES)
        except Misfit as error:
            misfit = f" {error}"
        if answer.is_success and isinstance(content, dict) and ("items" in content or "id" in content):
            return check(content)
        said = content.get("message") if isinstance(content, dict) else None
        said = said if isinstance(said, str) else ""
        shown = excerpt(sentence(said or answer.reason_phrase), LONGEST_SAID)
        if status in (401, 403):
            raise self.forbidden(status, shown)
        if status in (408, 425, 429) or status >= 500:
            raise Busy(
                f"the registry at {self.url} answered {status} ({shown}). A later retry may help.",
                retry_after(answer.headers),
            )
        if status == 409 and asked.startswith("POST "):
            raise Conflict(shown)
        if status in (400, 422) and said:
            raise UserError(
                f"the registry at {self.url} refused a value ({status}): {shown.rstrip('.')}. Change it and "
                "start again."
            )
        to = answer.headers.get("location")
        leads = f" to {excerpt(redact_url(to))}" if to else ""
        if answer.is_success:
            leads = misfit or " with JSON that is not what a registry answers"
        raise self.unfit(asked, f"{status} {shown}{leads}")

    def forbidden(self, status: int, said: str) -> UserError:
        """Return why the server denied access, and how to fix it."""
        if not self.token:
            remedy = "It requires a token: set OSFT_REGISTRY_TOKEN (secrets.registry) or --token-file"
        elif status == 401:
            remedy = "It does not accept the token that was sent: renew it (secrets.registry)"
        else:
            remedy = "The token's owner may not do this: grant the right to write to the registry"
        return UserError(f"the registry at {self.url} answered {status} ({said}). {remedy}.")

    def explain(self, error: Exception) -> Transient:
        """A failed connection in a sentence. Raises UserError for TLS: time does not change a certificate."""
        if certificate := certificate_problem(error):
            raise UserError(
                f"no trusted TLS connection to {self.url}: it {certificate} Give the CA that signed its "
                "certificate if that is missing (--ca-file, register.tls)."
            ) from error
        for cause in causes(error):
            if isinstance(cause, ssl.SSLError):
                raise UserError(
                    f"no trusted TLS connection to {self.url} ({cause}). Give the CA that signed its "
                    "certificate (--ca-file, register.tls), or an http:// address if it has no TLS."
                ) from error
        return Transient(
            f"the registry at {self.url} {no_answer(error, httpx.TimeoutException)}. Check register.address "
            "if it stays so; the model is safe in the workspace."
        )
