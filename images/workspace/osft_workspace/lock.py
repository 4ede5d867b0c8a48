"""One start of a stage at a time. The kernel drops the lock when its holder dies, however it dies."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.2
SAY_SECONDS = 30.0


@contextmanager
def exclusive(path: Path, waiting: Callable[[float], None]) -> Iterator[None]:
    """Hold the lock file; while another does, call `waiting` with the seconds so far, every 30 s."""
    with path.open("a") as file:
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
