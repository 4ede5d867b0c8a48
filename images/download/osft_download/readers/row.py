"""What all readers share: the form of a row, the choices they report, and the bound of their memory."""

from collections.abc import Callable
from typing import Any

Row = tuple[int, bytes | None, Any]
"""Place (the line, or the number of the row from 1), its own bytes where it has some, and its value.

The value is the `RejectedRow` that says why there is none where it cannot be read.
"""
Say = Callable[[str, Any, str], None]
"""Reports an automatic choice: its name, its value, its reason."""
LONGEST_ROW = 8 << 20  # bytes; a longer line is not a chat row, and its text takes four times that in memory
MOST_COLUMNS = 10_000
BOM = b"\xef\xbb\xbf"
