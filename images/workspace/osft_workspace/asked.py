"""The inputs of a run as they were requested, to detect whether they changed.

Records show addresses without their credentials and queries, so two different ones may look alike there. Here
an address keeps everything that says what is fetched, and loses only what proves who may: a renewed signature
is the same input.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from osft_workspace.addresses import WHOLE, find_place
from osft_workspace.digests import digest_json
from osft_workspace.exits import UserError
from osft_workspace.secret_values import hide_secrets
from osft_workspace.signing import SIGNING
from osft_workspace.text import excerpt

AZURE = frozenset(
    "sv ss srt sp se st spr sr sip sdd ses scid saoid suoid skoid sktid skt ske sks skv".split()
)
"""Azure's short names, which mean this only beside its `sig`."""
VERBATIM = ("hf", "s3", "pvc", "path", "file")  # there `?` and `#` belong to the name


def asked_query(query: str) -> list[tuple[str, str]]:
    """Return the parts of a query that say what is asked for, without those that sign it."""
    pairs = parse_qsl(query, keep_blank_values=True)
    signing = AZURE if any(name.lower() == "sig" for name, _ in pairs) else frozenset()
    return [pair for pair in pairs if not SIGNING.fullmatch(pair[0]) and pair[0].lower() not in signing]


def asked_address(text: str) -> Any:
    """Return what an address names, as a JSON value; another spelling of it is another address."""
    whole = WHOLE.match(text)
    if whole is None:
        return text
    scheme, rest = whole[1].lower(), text.strip()[len(whole.group().lstrip()) :]
    if scheme in ("pvc", "path", "file"):
        return f"{scheme}://{rest}"
    place = find_place(f"{scheme}://", rest)
    rest = rest[place.start :] if place else rest
    if scheme in VERBATIM:
        return f"{scheme}://{rest}"
    rest = rest.partition("#")[0]  # never sent to a server
    rest, _, query = rest.partition("?")
    kept = asked_query(query)
    return [f"{scheme}://{rest}", kept] if kept else f"{scheme}://{rest}"


def asked_value(value: Any) -> Any:
    """Return a JSON value with each address as `asked_address` and without secrets of the environment."""
    if isinstance(value, str):
        return asked_address(hide_secrets(value))
    if isinstance(value, Mapping):
        return {key: asked_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [asked_value(item) for item in value]
    return value


def asked_digests(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the digest of each input as it was asked for.

    Raises:
        UserError: an input is not UTF-8, or nested deeper than JSON can be written.
    """
    digests = {}
    for name, value in inputs.items():
        try:
            digests[name] = digest_json(asked_value(value))
        except UnicodeEncodeError as error:
            raise UserError(
                f"the input {name} holds '{excerpt(value)}', which is not UTF-8. Rename "
                "that file or folder, or correct the value."
            ) from error
        except RecursionError as error:
            raise UserError(
                f"the input {name} is nested too deep, expected JSON of at most a few hundred levels."
            ) from error
    return digests
