"""Lines of the worker's log that the stage reads."""

import os
import sys


def write_line(line: str) -> None:
    """Write to standard output in one piece: other processes write to the same pipe."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())
