"""An end for whatever waits for a server: a total time for each call, and a sign of life meanwhile.

Timeouts of HTTP clients count the silence between two bytes; a server that sends one byte a second never
reaches them. The alarm of the process does, in whatever library it waits.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGN_OF_LIFE_SECONDS = 30.0
SILENCES = 5
"""A call may take this many times the longest silence of a server."""
SLOWEST = 1000
"""Bytes each second that a file must bring after that time; 56k modems bring seven times as many."""


class TooSlow(Exception):
    """A call reached its end before the answer did."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the answer was not complete after {seconds:.0f} s")
        self.seconds = seconds


class Overdue(BaseException):
    """The alarm rang. Not an Exception: libraries catch those and retry."""


def allowed(seconds: float, done: int) -> float:
    """Return the seconds that a call may take once `done` bytes of a file are there."""
    return seconds + done / SLOWEST


@contextmanager
def deadline(
    seconds: float, alive: Callable[[float], None], done: Callable[[], int] = lambda: 0
) -> Iterator[None]:
    """End the work inside after `seconds`, and the longer the more bytes of a file are `done`.

    Args:
        alive: called with the seconds that went by, every 30 s.
        done: bytes that have arrived; stays 0 where the answer is not a file.

    Raises:
        TooSlow: the time is over. Only the main thread can be ended; others check their bodies' time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    started = time.monotonic()

    def look(signum: int, frame: FrameType | None) -> None:
        spent = time.monotonic() - started
        if spent >= allowed(seconds, done()):
            raise Overdue
        if spent >= SIGN_OF_LIFE_SECONDS:
            alive(spent)

    period = min(SIGN_OF_LIFE_SECONDS, seconds)
    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, period, period)
    try:
        yield
    except Overdue:
        raise TooSlow(time.monotonic() - started) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
