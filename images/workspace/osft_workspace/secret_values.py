"""The values of secrets in this process's environment, in every form in which a text may hold them."""

import base64
import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, quote_plus

SHORTEST_SECRET = 6  # characters; replacing shorter values would eat ordinary words
SHORTEST_FORM = 8  # characters of a coded form or of one line
SECRET_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|CREDENTIAL|PASSW|PASSPHRASE|PASSCODE|AUTHORIZATION|BEARER|JWT|COOKIE"
    r"|CONNECTION_?STRING|(^|_)(PASS|PAT|SAS|AUTH)$|._PWD$"
    r"|(API|ACCESS|PRIVATE|STORAGE|ACCOUNT|SIGNING|ENCRYPTION|MASTER|AUTH|SSH|DEPLOY|SAS|SUBSCRIPTION"
    r"|SERVICE)[_-]?KEY",
    re.IGNORECASE,
)
# What says where a secret lies or how long it lasts, and what Kubernetes sets for a Service of that name.
ABOUT_SECRETS = re.compile(
    r"_(FILE|PATH|DIR|NAME|TYPE|HOST|TTL|SECONDS|EXPIR\w*|PORT|(SERVICE_)?PORT(_\w*)?)$", re.IGNORECASE
)


def secret_variables() -> Iterator[tuple[str, str]]:
    """Return name and value of every variable of the environment that holds a secret."""
    for name, value in sorted(os.environ.items()):
        if says_secret(name) and len(value.strip()) >= SHORTEST_SECRET and not is_harmless(name, value):
            yield name, value


@lru_cache(maxsize=4096)
def says_secret(name: str) -> bool:
    """Return whether the name of a variable says that it holds a secret."""
    return bool(SECRET_NAME.search(name)) and not ABOUT_SECRETS.search(name)


def is_harmless(name: str, value: str) -> bool:
    """Return whether a value is a count of tokens, or the path of a file instead of its content."""
    if value.isdecimal() and "TOKENS" in name.upper():
        return True
    try:
        return value.startswith("/") and Path(value).exists()
    except (OSError, ValueError):
        return False


def forms(value: str) -> Iterator[str]:
    """Return a secret as it is and as URLs, JSON, Python, base64 and hexadecimal text show it."""
    yield from {value, value.strip()}
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= SHORTEST_FORM and not line.startswith("-----"))
    for plain in {value, value.strip()}:
        coded = [quote(plain, safe=safe, errors="replace") for safe in ("", "/")]
        coded.append(quote_plus(plain, errors="replace"))
        yield from coded
        yield from (re.sub("%..", lambda found: found.group().lower(), text) for text in coded)
        yield from (json.dumps(plain, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
        yield repr(plain)[1:-1]
        yield from binary_forms(plain.encode("utf-8", "surrogateescape"))


def binary_forms(value: bytes) -> Iterator[str]:
    """Return bytes in hexadecimal and in base64, there also as the middle of something longer."""
    yield value.hex()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + value)
        # The first and the last character may also hold bits of what stands beside the secret.
        text = whole[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6].decode()
        if len(text) >= SHORTEST_FORM:
            yield text
            yield text.translate(str.maketrans("+/", "-_"))


@lru_cache(maxsize=4)
def pattern(secrets: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern of every form, the longest first, and the name behind each form."""
    names: dict[str, str] = {}
    for name, value in secrets:
        for form in forms(value):
            if len(form) >= SHORTEST_SECRET:
                names.setdefault(form, name)
    longest = sorted(names, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest)) or r"(?!)"), names


def hide_secrets(text: str) -> str:
    """Return the text with every secret of the environment replaced by the name of its variable."""
    known, names = pattern(tuple(secret_variables()))
    return known.sub(lambda found: f"<{names[found.group()]}>", text)
