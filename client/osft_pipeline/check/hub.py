"""Whether models and datasets of a Hugging Face hub exist and may be read."""

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPResponse
from typing import IO

from osft_pipeline.check.findings import Findings

ENDPOINT = "https://huggingface.co"
SECONDS = 15
KINDS = {
    "data.uri": ("dataset", "datasets"),
    "data.evalUri": ("dataset", "datasets"),
    "model.uri": ("model", "models"),
}


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token belongs to one host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def check(addresses: Mapping[str, str], findings: Findings, env: Mapping[str, str] = os.environ) -> None:
    """Ask the hub about each hf:// address by its key in the values."""
    for key, address in addresses.items():
        if address.startswith("hf://"):
            what, path = KINDS[key]
            name = "/".join(address.removeprefix("hf://").partition("@")[0].split("/")[:2])
            about = f"{env.get('HF_ENDPOINT') or ENDPOINT}/api/{path}/{name}"
            code = ask(f"{about}/auth-check", env.get("HF_TOKEN", ""))
            if code == 404:  # also what a mirror without this question answers
                code = ask(about, env.get("HF_TOKEN", ""))
            if isinstance(code, str):
                findings.unasked.append(f"{key}: the hub was not reached ({code})")
            elif code in (401, 403, 404):
                findings.problems.append(sentence(key, what, name, code, bool(env.get("HF_TOKEN"))))
            else:
                findings.fine.append(f"{key}: {what} {name} is on the hub (HTTP {code})")


def ask(address: str, token: str) -> int | str:
    """Return the status of a GET, or why there is none."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        response: HTTPResponse = urllib.request.build_opener(Stay).open(request, timeout=SECONDS)
        with response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def sentence(key: str, what: str, name: str, code: int, token: bool) -> str:
    """Return what is wrong with an address of the hub."""
    if code == 403:
        return (
            f"{key}: the hub denies this account the {what} {name} (HTTP 403). Accept its terms on its page, "
            "or use the token of an account that has."
        )
    seen = "and HF_TOKEN cannot see it" if token else "or it is private or gated, and HF_TOKEN is not set"
    return (
        f"{key}: the {what} {name} is not on the hub, {seen} (HTTP {code}). Correct the address or the token."
    )
