"""SIGTERM: a node drains, a pod is deleted, a person stops a local run."""

import signal
import threading
from types import FrameType
from typing import NoReturn


class Stopped(BaseException):
    """SIGTERM arrived."""


_asked = False


def install() -> None:
    """Let SIGTERM end this process by an exception."""
    signal.signal(signal.SIGTERM, stop)


def stop(signum: int, frame: FrameType | None) -> NoReturn:
    """End what the process does. Raises Stopped."""
    global _asked
    _asked = True
    raise Stopped


def check() -> None:
    """End it again, where a library caught that exception: some do, with anything that an import raises.

    Raises:
        Stopped: SIGTERM arrived some time ago.
    """
    if _asked and threading.current_thread() is threading.main_thread():
        raise Stopped
