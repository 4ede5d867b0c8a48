"""Where an address holds its host and where its credentials, however carelessly it was written.

`urlsplit` follows the standard, so a password with `/`, `?` or `#` moves the border between credentials and
path, and an address without a scheme has none at all. Here an `@` that a host follows ends the credentials.
"""

import re
from itertools import islice
from typing import NamedTuple

MOST_SIGNS = 20
SCHEME = re.compile(r"(?<=[a-zA-Z0-9+.-]{2}):/+|(?<![\w:/.%-])//+")
WHOLE = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9+.-]+):/+")
BARE_USER = re.compile(r"(?<![\w/.@-])[^\s'\"<>/@:=(\[{,;]+(?:@[\w.-]+)?:")
ENDS_AUTHORITY = re.compile(r"[/?#]|$")
HOST = re.compile(
    r"(?P<name>\[[0-9a-fA-F:.]+(?:%[\w.~%-]+)?\]|[\w.-]+)(?P<port>:\d{1,5})?"
    r"(?=$|:$|[/?#'\"<>()\[\]{},;|`\s\\])"
)
KNOWN = re.compile(r"\[.*|localhost|\d{1,3}(\.\d{1,3}){3}|.+\.[a-zA-Z][\w-]+")
SEGMENT = r"\w[\w.-]*"
HUB = re.compile(
    rf"(?P<repo>(?:(?:datasets|models|spaces)/)?(?:{SEGMENT}/)?{SEGMENT}(?::[^@/:\s'\"<>()\[\]?#]+)?)"
    r"(?:@(?P<revision>[^@\s'\"<>()\[\]?#,;]++))?(?=$|[/?#'\"<>()\[\]{},;|`\s\\])"
)


class Split(NamedTuple):
    """A place in an address: where the host begins, and where it ends."""

    start: int
    end: int


def is_known(found: re.Match[str]) -> bool:
    """Return whether text is a host beyond doubt, not a word that may be a part of a password."""
    return bool(found["port"]) or bool(KNOWN.fullmatch(found["name"]))


def hosts_behind_at(rest: str) -> list[re.Match[str]]:
    """Return everything that can be the host behind an `@`, in order."""
    found = (HOST.match(rest, end) for end in at_signs(rest))
    return [match for match in found if match]


def at_signs(text: str) -> list[int]:
    """Return where each `@` ends; none where there are more than any address has, for each costs a look."""
    if text.count("@") > MOST_SIGNS:
        return []
    return [found.end() for found in re.finditer("@", text)]


def find_host(rest: str) -> Split | None:
    """Return where the host of an address lies; `rest` is what follows the scheme. None: there is none."""
    border = ENDS_AUTHORITY.search(rest).start()  # type: ignore[union-attr]  # it matches at the end
    behind = hosts_behind_at(rest)
    later = [match for match in behind if match.start() > border]
    known = [match for match in later if is_known(match)]
    chosen = HOST.match(rest)
    if "@" in rest[:border]:
        inside = [match for match in behind if match.start() <= border]
        chosen = inside[-1] if inside else None
        if chosen and known and not is_known(chosen):
            chosen = known[0]  # the password holds `@` and `/`
    elif chosen and later and is_broken(rest, chosen.end(), border):
        chosen = None
    elif chosen and known and chosen["port"] and not KNOWN.fullmatch(chosen["name"]):
        chosen = known[0]  # a password that begins with digits and holds a slash, not a port
    if chosen is None and later:
        chosen = (known or later)[0]
    return Split(chosen.start(), chosen.end()) if chosen else None


def is_broken(rest: str, end: int, border: int) -> bool:
    """Return whether text behind what looks like a host has a colon, as user info has, but no new scheme."""
    left = rest[end:border]
    return ":" in left[:-1] or (left.endswith(":") and not rest.startswith("//", border))


def find_hub(rest: str) -> Split | None:
    """Return where `org/name[:config][@revision]` lies behind `hf://`; there, `@` names a revision."""
    for start in (0, *at_signs(rest)):
        found = HUB.match(rest, start)
        if found and not (start == 0 and is_user(rest, found)):
            return Split(found.start(), found.end())
    return None


def is_user(rest: str, found: re.Match[str]) -> bool:
    """Return whether what looks like a hub's name is `user:token` before the real one."""
    repo, revision = found["repo"], found["revision"] or ""
    if "/" in repo:
        return False
    if revision:
        return "/" in revision and not revision.startswith("refs/")
    return "@" in rest[found.end() :]


def find_place(head: str, rest: str) -> Split | None:
    """As `find_host` or `find_hub`, by the scheme that `head` ends with."""
    return find_hub(rest) if re.search(r"(?i)(?<![a-z0-9+.-])hf:/+$", head) else find_host(rest)


def bare_user_end(text: str) -> tuple[int, int] | None:
    """Return where `user:password@` begins and ends in text without a scheme, or None."""
    last = text.rfind("@")
    for found in islice(BARE_USER.finditer(text, 0, max(last, 0)), MOST_SIGNS):
        start = found.start()
        if text.startswith("refs/", text.find("@", start) + 1):
            continue  # `name:config@refs/convert/parquet` of a hub
        host = find_host(text[start:])
        if host and host.start:
            return start, start + host.start
    return None
