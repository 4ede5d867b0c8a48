"""MLflow by its REST API, so that the image needs neither its package nor a second client for HTTP."""

import base64
import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from osft_eval.trackers import Sent
from osft_workspace import Transient, UserError, excerpt, redact_url
from osft_workspace.answers import Misfit, parse_json
from osft_workspace.deadline import TooSlow
from osft_workspace.guard import Guard, certificate_problem, no_answer
from osft_workspace.hosts import check_credential, check_reachable, check_secret_may_travel
from osft_workspace.text import sentence

SETTING = "train.tracking.mlflow.uri"
API = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
FOLDER = "evaluation"
"""Of the run's artifacts."""
AT_ONCE = 500
"""Figures in a request; a server takes 1000."""
SILENCE = 10.0
"""Seconds that a server may be silent."""
WAITS = (1.0, 3.0)
"""Seconds between the tries of one call."""
LARGEST, MOST_VALUES = 4 << 20, 200_000
"""Bytes and JSON values of an answer: a run with all its parameters and newest figures."""
MAY_PASS = (408, 425, 429)


def send(uri: str, sent: Sent) -> dict[str, Any]:
    """Add figures, tags and files to the training's run; return what to log.

    Raises:
        UserError: the address, a credential or the run cannot be used.
        Transient: the server is unavailable.
    """
    server = Server(uri)
    number = str(sent.run.get("run_id"))
    try:
        found = server.call("GET", f"{API}/runs/get?run_id={quote(number, safe='')}")
        now = round(time.time() * 1000)
        figures = [
            {"key": key, "value": value, "timestamp": now, "step": sent.step}
            for key, value in sent.figures.items()
        ]
        tags = [{"key": key, "value": value} for key, value in sent.tags.items()]
        for start in range(0, max(len(figures), 1), AT_ONCE):
            batch = {"run_id": number, "metrics": figures[start : start + AT_ONCE], "tags": tags}
            server.call("POST", f"{API}/runs/log-batch", json=batch)
        return {"run": number, "figures": len(figures), **server.store(artifacts_of(found), sent.files)}
    except httpx2.InvalidURL as error:
        raise UserError(
            f"{SETTING} is {server.shown}, which is not an address ({error}). Correct it."
        ) from error


def artifacts_of(found: Mapping[str, Any]) -> str:
    """Return where the server keeps the files of a run, nothing where it does not say."""
    info = (found.get("run") or {}).get("info") if isinstance(found.get("run"), dict) else None
    uri = info.get("artifact_uri") if isinstance(info, dict) else None
    return uri if isinstance(uri, str) else ""


class Server:
    """A connection to one server. Raises UserError for an address or a credential that cannot be used."""

    def __init__(self, uri: str) -> None:
        self.url, self.shown = uri.rstrip("/"), redact_url(uri)
        scheme, _ = check_reachable(self.url, SETTING)
        if scheme not in ("http", "https"):
            raise UserError(
                f"{SETTING} is {self.shown}, and evaluation sends its figures to a server only. Expected "
                "http://<host>:<port> or https://<host>."
            )
        guard = Guard(httpx2, SILENCE, lambda answer: LARGEST, self.url)
        self.http = httpx2.Client(
            verify=trusted(), headers=authorization(self.url), event_hooks=guard.hooks()
        )

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Return what the server answers, with a few tries. Raises UserError or Transient."""
        for wait in (*WAITS, None):
            try:
                return self.read(self.http.request(method, f"{self.url}/{path}", **body))
            except (httpx2.TransportError, TooSlow) as error:
                away = self.explain(error)
            except Misfit as error:
                raise self.unfit(str(error)) from error
            except Transient as error:
                away = error
            if wait is None:
                raise away
            time.sleep(wait)
        raise AssertionError("unreachable")

    def read(self, answer: httpx2.Response) -> dict[str, Any]:
        """Return the JSON object of an answer. Raises UserError or Transient for a status that refuses."""
        status = answer.status_code
        if status in MAY_PASS or status >= 500:
            raise Transient(f"the MLflow server at {self.shown} answered {status}: {self.said(answer)}")
        if status in (401, 403):
            raise UserError(
                f"the MLflow server at {self.shown} denied access ({status}: {self.said(answer)}). Check the "
                "Secret in secrets.mlflow, and that its owner may write to the experiment."
            )
        if not answer.is_success:
            raise UserError(f"the MLflow server at {self.shown} answered {status}: {self.said(answer)}")
        found = parse_json(answer.content or b"{}", MOST_VALUES)
        if not isinstance(found, dict):
            raise self.unfit("with JSON that is not an object")
        return found

    def said(self, answer: httpx2.Response) -> str:
        """Return the server's own words."""
        try:
            found = parse_json(answer.content, MOST_VALUES)
        except Misfit:
            found = None
        words = found.get("message") if isinstance(found, dict) else None
        return sentence(excerpt(words if isinstance(words, str) else answer.reason_phrase, 300))

    def unfit(self, came: str) -> UserError:
        """Return the sentence for an answer that MLflow does not give."""
        return UserError(
            f"{self.shown} answered {came}, expected MLflow's REST API. Check {SETTING} and any proxy in "
            "between."
        )

    def explain(self, error: Exception) -> Transient:
        """A failed connection in a sentence. Raises UserError for a certificate."""
        if problem := certificate_problem(error):
            raise UserError(
                f"no trusted TLS connection to {self.shown}: it {problem} Give the CA in "
                "MLFLOW_TRACKING_SERVER_CERT_PATH or SSL_CERT_FILE (eval.pod.env)."
            ) from error
        how = no_answer(error, httpx2.TimeoutException)
        return Transient(f"the MLflow server at {self.shown} {how}. Check {SETTING}.")

    def store(self, place: str, files: tuple[Path, ...]) -> dict[str, Any]:
        """Upload files where the server itself takes them; return what to log."""
        parts = urlsplit(place)
        if parts.scheme != "mlflow-artifacts" or parts.netloc not in ("", urlsplit(self.url).netloc):
            seen = f"the server keeps artifacts at {redact_url(place) or 'no address'}"
            return {
                "files": 0,
                "why": f"{seen}, expected mlflow-artifacts:/ (mlflow server --serve-artifacts)",
            }
        folder = quote(f"{parts.path.strip('/')}/{FOLDER}")
        for file in files:
            self.call("PUT", f"{ARTIFACTS}/{folder}/{file.name}", content=file.read_bytes())
        return {"files": len(files)}


def authorization(url: str) -> dict[str, str]:
    """Return the header that MLflow's own client would send. Raises UserError where it must not travel."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    if user and password:
        check_secret_may_travel(url, "MLFLOW_TRACKING_PASSWORD", SETTING)
        return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
    if not token:
        return {}
    check_secret_may_travel(url, "MLFLOW_TRACKING_TOKEN", SETTING)
    check_credential("MLFLOW_TRACKING_TOKEN", token, "Correct the Secret in secrets.mlflow.")
    return {"Authorization": f"Bearer {token}"}


def trusted() -> ssl.SSLContext:
    """Return whom to trust, by the variables of MLflow's client. Raises UserError for another file."""
    authority = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or os.environ.get("REQUESTS_CA_BUNDLE")
    own = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if own:
            context.load_cert_chain(own)
    except OSError as error:
        raise UserError(
            f"{authority or own} is not a usable certificate file ({error}). Correct the variable in "
            "eval.pod.env."
        ) from error
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
