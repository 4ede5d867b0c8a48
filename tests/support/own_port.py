"""One port on loopback for each test process, on which its servers that play a model hub follow each other.

The hub's libraries read its address when they are imported. A process that has imported them for this port
can be forked for every test (`tests.support.warm`).
"""

import functools
import socket
import threading

HOST = "127.0.0.1"
in_use = threading.Lock()


@functools.cache
def reserved() -> socket.socket:
    """Return a socket that keeps the port from others; servers share it by SO_REUSEPORT."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind((HOST, 0))
    return kept


def number() -> int:
    """Return the port of this process."""
    return int(reserved().getsockname()[1])


def url() -> str:
    """Return the address of a hub on this port."""
    return f"http://{HOST}:{number()}"


def take() -> int:
    """Return the port for a server, or 0, any port, where another server has it."""
    return number() if in_use.acquire(blocking=False) else 0


def leave(port: int) -> None:
    """Let the next server have the port, if it is this one."""
    if port == number():
        in_use.release()
