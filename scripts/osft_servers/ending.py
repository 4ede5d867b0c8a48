"""A signal that asks this process to end: remembered, and looked at only where leaving is safe.

What a handler raises may come between a server's start and the `try` that ends it, or in the middle of
ending it; and Python throws it away when it comes while a child is forked.
"""

import signal
from types import FrameType

_number: int | None = None


def hear() -> None:
    """From now on SIGTERM and SIGINT are only remembered."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _remember)


def _remember(number: int, frame: FrameType | None) -> None:
    global _number
    _number = number


def asked() -> bool:
    """Return whether such a signal came."""
    return _number is not None


def leave_if_asked() -> None:
    """Leave through every `finally` after such a signal."""
    if _number is not None:
        raise SystemExit(128 + _number)
