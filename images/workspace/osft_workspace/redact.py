"""Keep secrets out of everything that is written: logs, records, events, registry fields.

For reading only. What a run was asked for is compared by `asked`, which keeps what is dropped here.
"""

import re
from collections.abc import Callable
from typing import Any

from osft_workspace.addresses import SCHEME, WHOLE, bare_user_end, find_place
from osft_workspace.secret_values import hide_secrets
from osft_workspace.signing import SIGNS

MOST_PASSES = 10
UNREADABLE = "<unreadable address>"
CLOSING = "'\"<>)].,;:"
NEXT = r"[,;|]+(?=(?:[a-zA-Z][\w+.-]+:)?//|[a-zA-Z][\w+.-]+:/)"  # a list of addresses without spaces
# In a sentence an address ends at a quote or a bracket.
PLACE = re.compile(rf"(?:(?!{NEXT})[^\s'\"<>)\]?#])*")
QUERY = re.compile(r"[?#]\S*")
BARE_QUERY = re.compile(r"[?#][\w.%~+\[\]-]+=\S*")
PLACEHOLDER = re.compile(r"<[a-z]+>")  # our own sentences write addresses as `hf://<org>/<name>@<revision>`
WORD = re.compile(r"\S+")
MARKS = frozenset("@?#:")  # a word without one of these is not an address that could hold a secret
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
ASSIGNED = re.compile(
    rf"(?:(?<=[?&;#])|(?<=%3f)|(?<=%26)|(?<=%23)|\b(?=sharedaccess|accountkey))({SIGNS})(?P<sign>=|%3d)"
    r"[^\s&;'\"<>)\]}]+",
    re.IGNORECASE,
)
KNOWN_TOKEN = re.compile(  # as hubs, clouds and identity providers make them
    r"\b(hf_|gh[opsu]_|github_pat_|glpat-|sk-|xox[abp]-|AKIA|eyJ(?=[\w-]+\.[\w-]+\.))"
    r"(?=[\w.-]{0,60}\d)[\w.-]{16,}"
)
BEARER = re.compile(r"\b(bearer|basic) +(?=[^\s]{0,200}\d)[\w.~+/=-]{16,}", re.IGNORECASE)
SIGNED = re.compile(r"\b(AWS4-HMAC-SHA256) +(?:(?:Credential|SignedHeaders|Signature)=[^\s,]+,? *){1,3}")
SPACED = re.compile(  # a password with spaces, which end an address in a sentence
    r"(?<=[a-zA-Z0-9+.-]{2}:/)(/*)[^\s@/:'\"<>\[]+:(?!\d{1,5}(?:[\s/?#'\"),;.\]]|$))[^\s@'\"<>]*"
    r"(?:\s+[^\s@'\"<>:]+){0,3}?\s+[^\s@'\"<>:]*@(?=[\w\[])"
)
CODED_USER = re.compile(r"(%3a(?:%2f)+)(?!%2f)\S{0,2000}%40", re.IGNORECASE)
CODED_QUERY = re.compile(r"(%3a(?:%2f)+\S{0,2000}?)%(?:3f|23)\S*", re.IGNORECASE)


def redact_url(url: str) -> str:
    """Return an address without user info, query and fragment, where credentials travel."""
    return settled(redact_url_once, url)


def settled(redact: Callable[[str], str], text: str) -> str:
    """Redact until nothing changes: what is left when a part is taken out may look like an address itself."""
    for _ in range(MOST_PASSES):
        before, text = text, redact(text)
        if text == before:
            break
    return text


def redact_url_once(url: str) -> str:
    """Redact an address in one pass."""
    url = url.strip()
    if url.startswith("//"):
        return redact_url_once(f"any:{url}").removeprefix("any:")
    whole = WHOLE.match(url)
    if whole is None:
        user = bare_user_end(url)
        url = url[: user[0]] + url[user[1] :] if user else url
        return hide_assigned(BARE_QUERY.sub("", url).split("?", 1)[0])
    head, rest = url[: whole.end()].lower(), url[whole.end() :]
    place = find_place(head, rest)
    if place is None and "@" in rest:
        return head + UNREADABLE
    shown = re.split("[?#]", rest[place.start if place else 0 :], maxsplit=1)[0]
    first, *others = re.split(f"({NEXT})", shown, maxsplit=1)
    return head + hide_assigned(first) + "".join(map(redact_url, others))


def redact_text(text: str) -> str:
    """Return a text without secret values of the environment and without the secret parts of addresses."""
    return settled(redact_text_once, text)


def redact_text_once(text: str) -> str:
    """Redact a text in one pass."""
    text = SPACED.sub(r"\1", hide_secrets(text))
    return hide_assigned(WORD.sub(lambda word: redact_word(word.group()), text))


def redact_word(word: str) -> str:
    """Redact text without spaces, which may hold several addresses and what closes a sentence."""
    if MARKS.isdisjoint(word):
        return word
    shown = ""
    while scheme := SCHEME.search(word):
        head, rest = word[: scheme.end()], word[scheme.end() :]
        ours = PLACEHOLDER.match(rest)
        place = None if ours else find_place(head, rest)
        if place is None and "@" in rest and not ours:
            return shown + redact_bare(head) + UNREADABLE + closing(rest)
        start, end = place or (0, 0)
        end = PLACE.match(rest, end).end()  # type: ignore[union-attr]  # it matches nothing as well
        shown += redact_bare(head) + rest[start:end]
        if query := QUERY.match(rest, end):
            return shown + closing(query.group())
        word = rest[end:]
    return shown + redact_bare(word)


def redact_bare(word: str) -> str:
    """Redact `user:password@host` and `org/name?token=...`, which have no scheme."""
    if user := bare_user_end(word):
        word = word[: user[0]] + word[user[1] :]
    return BARE_QUERY.sub(lambda query: closing(query.group()), word)


def hide_assigned(text: str) -> str:
    """Redact what is a secret without an address around it, and addresses inside another's query."""
    text = CODED_QUERY.sub(r"\1", CODED_USER.sub(r"\1", text)) if "%" in text else text
    text = ASSIGNED.sub(r"\1\g<sign>...", text) if "=" in text or "%" in text else text
    return KNOWN_TOKEN.sub(r"\1...", BEARER.sub(r"\1 ...", SIGNED.sub(r"\1 ...", text)))


def closing(text: str) -> str:
    """Return the quotes, brackets and full stops that close a sentence behind an address."""
    return text[len(text.rstrip(CLOSING)) :]


def redact_value(value: Any) -> Any:
    """Return a JSON value with its strings and keys redacted; what begins as an address is one to its end.

    Halves of surrogate pairs, which no UTF-8 file can hold, become their escapes.
    """
    if isinstance(value, str):
        # First of all the secrets: cut as an address is, the rest of one would not be known any more.
        text = redact_text(redact_url(hide_secrets(value)) if WHOLE.match(value) else value)
        return LONE_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)
    if isinstance(value, dict):
        return {
            redact_value(key) if isinstance(key, str) else key: redact_value(v) for key, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_value(item) for item in value]
    return value
