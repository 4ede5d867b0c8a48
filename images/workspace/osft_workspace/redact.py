"""Keep secrets out of everything that is written: logs, records, events, registry fields."""

import os
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

SECRET_ENV = (
    "HF_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "OSFT_REGISTRY_TOKEN",
    "OPENAI_API_KEY",
    "WANDB_API_KEY",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
)
SHORTEST_SECRET = 6  # replacing shorter values would eat ordinary words
# In a sentence an address ends at a quote or a bracket, but a password or a signature may hold both.
USER, PLACE = r"[^\s/?#]*@", r"[^\s'\"<>)\]?#]"
URL = re.compile(rf"\b[a-zA-Z][a-zA-Z0-9+.-]*://(?:{USER}{PLACE}*|{PLACE}+)([?#]\S*)?")
CLOSING = "'\"<>)].,;:"
WHOLE = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]*://")


def redact_url(url: str) -> str:
    """The URL without user info, query and fragment, where credentials travel."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "<unreadable address>"
    if not parts.scheme or "//" not in url:
        return url.split("?", 1)[0]
    host, path = parts.netloc.rsplit("@", 1)[-1], parts.path
    if ":" in host and not host.rpartition(":")[2].isdigit() and "@" in path:
        host, path = path.rsplit("@", 1)[-1], ""  # the user info holds a slash, as secret keys of S3 may
    return urlunsplit((parts.scheme, host, path, "", ""))


def revision_kept(url: str) -> str:
    """As `redact_url`, but an hf:// revision stays: there `@` names a commit, not a user."""
    return url.split("?", 1)[0] if url.startswith("hf://") else redact_url(url)


def redact_text(text: str) -> str:
    """A text without secret values of the environment and without the secret parts of URLs."""
    for name in SECRET_ENV:
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, f"<{name}>")
    return URL.sub(in_sentence, text)


def in_sentence(match: re.Match[str]) -> str:
    """An address in a sentence, redacted; what closes the sentence behind a query stays."""
    url = match.group()
    end = url[len(url.rstrip(CLOSING)) :] if match.group(1) else ""
    return revision_kept(url) + end


def redact_value(value: Any) -> Any:
    """`redact_text` for every string inside a JSON value; one that begins as a URL is a URL to its end."""
    if isinstance(value, str):
        return redact_text(revision_kept(value.strip()) if WHOLE.match(value) else value)
    if isinstance(value, dict):
        return {key: redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(item) for item in value]
    return value
