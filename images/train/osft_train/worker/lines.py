"""The worker's log: several processes write into one pipe, and the stage reads it line by line."""

import os
import sys
from io import TextIOWrapper
from typing import cast


def keep_lines_whole() -> None:
    """Write what this process prints line by line.

    With PYTHONUNBUFFERED, as in the images, `print` writes a text and the end of its line apart, and lines
    of other processes come in between.
    """
    for stream in (sys.stdout, sys.stderr):
        cast("TextIOWrapper", stream).reconfigure(line_buffering=True, write_through=False)


def write_line(line: str) -> None:
    """Write a line that the stage reads, in one piece.

    It begins with the end of a line, because a progress bar of another process may have begun one.
    """
    os.write(sys.stdout.fileno(), f"\n{line}\n".encode())
