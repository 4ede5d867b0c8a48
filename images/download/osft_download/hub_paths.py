"""Names that a hub gives to files, and its ETags: neither may choose where something is written."""

import hashlib
import re
from functools import cache

from osft_workspace import UserError, printable

LONGEST_PART = 200  # bytes; the client adds to a file's name, and file systems take 255
LONGEST_SHOWN = 200  # characters
PLAIN_ETAG = re.compile(r"[A-Za-z0-9_-]{1,100}")


def check_name(where: str, name: str) -> None:
    """Refuse a file's name that is not a plain path below its repository.

    Raises:
        UserError: it leads elsewhere, or no file system can hold it.
    """
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or not name.isprintable():
        raise UserError(
            f"the {where} lists a file named '{printable(name, LONGEST_SHOWN)}', expected a plain path below "
            "the repository. Use another repository or revision, or have that file renamed."
        )
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        raise UserError(
            f"the {where} lists a file named '{printable(name, LONGEST_SHOWN)}', expected names of at most "
            f"{LONGEST_PART} bytes. Use another repository or revision, or have that file renamed."
        )


def plain_etag(etag: str | None) -> str | None:
    """Return an ETag as it is, or one made of its digest where it could not stand in a file's name."""
    if etag is None or PLAIN_ETAG.fullmatch(etag):
        return etag
    return f"etag-{hashlib.sha256(etag.encode('utf-8', 'surrogatepass')).hexdigest()}"


@cache
def install() -> None:
    """Let the hub's client, which puts ETags into paths, see plain ones only."""
    from huggingface_hub import file_download

    normalize = file_download._normalize_etag
    file_download._normalize_etag = lambda etag: plain_etag(normalize(etag))
