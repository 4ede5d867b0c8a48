"""One start of a stage at a time. The kernel releases the lock when its holder ends, even if it is killed."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from osft_workspace.files import open_regular

POLL_SECONDS = 0.2
SAY_SECONDS = 30.0


@contextmanager
def exclusive(path: Path, waiting: Callable[[float], None]) -> Iterator[None]:
    """Hold the lock file; while another does, call `waiting` with the seconds so far, every 30 s.

    Raises:
        UserError: what lies there is not a regular file; opening a pipe would wait for its reader.
    """
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, "a lock file")
    with os.fdopen(descriptor, "rb+", buffering=0) as file:
        started = time.monotonic()
        said = -SAY_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - started
                if waited - said >= SAY_SECONDS:
                    said = waited
                    waiting(waited)
                time.sleep(POLL_SECONDS)
        yield


def is_held(path: Path) -> bool:
    """Return whether a lock file is held; nothing is created where there is none."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
