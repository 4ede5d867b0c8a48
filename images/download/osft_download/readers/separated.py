"""What stands behind a row on its line: a comma, or more rows, which JSON lines do not have."""

import json
from collections.abc import Sequence

from osft_download.rules import RejectedRow
from osft_download.sources import DataFile
from osft_workspace import UserError, printable

COMMA, SEVERAL = "a comma follows the row", "several JSON values are on one line"
FIX = {
    COMMA: "Remove the commas at the line ends, for example with `sed 's/,[[:space:]]*$//'`, or write [ "
    "before the first row and ] instead of the last comma, which makes it a JSON array",
    SEVERAL: "Write each row on its own line, for example with `jq -c .`",
    f"{SEVERAL} with carriage returns (CR) between them": "Write line feeds instead, for example with "
    "`tr '\\r' '\\n'`",
    f"{SEVERAL} with commas between them": "Write each row on its own line and without the comma, or write [ "
    "before the first row and ] after the last one, which makes it a JSON array",
}


def alone(value: object) -> object:
    """Return the value of a line, or the rejection that says what follows the row on it."""
    what, column = extra(value)
    if not what:
        return value
    return RejectedRow("not-json", f"not JSON at column {column}: {what}, expected one row and nothing else")


def extra(value: object) -> tuple[str, int]:
    """Return what follows a whole value on its line, a key of `FIX` or empty, and its column."""
    error = value.__cause__ if isinstance(value, RejectedRow) else None
    if not isinstance(error, json.JSONDecodeError) or not error.msg.startswith("unexpected content after"):
        return "", 0
    rest = error.doc[error.pos :].strip()
    if rest == ",":
        return COMMA, error.pos + 1
    if not rest.lstrip(", \r\t").startswith(("{", "[")):
        return "", 0
    between = ""
    if rest.startswith(","):
        between = " with commas between them"
    elif error.doc[: error.pos].rstrip(" \t").endswith("\r"):
        between = " with carriage returns (CR) between them"
    return SEVERAL + between, error.pos + 1


def check_separated(source: DataFile, first: Sequence[object]) -> None:
    """Check that a row ends with its line; what follows both of the first two is taken to follow all.

    Raises:
        UserError: a comma follows each row, or a line holds several.
    """
    found = {extra(value)[0] for value in first}
    what = found.pop() if len(found) == 1 else ""
    if what:
        where = "line 1" if len(first) == 1 else "each line"
        raise UserError(
            f"{printable(source.name)}: {what} in {where}, expected JSON lines: one row and a line end. "
            f"{FIX[what]}."
        )
