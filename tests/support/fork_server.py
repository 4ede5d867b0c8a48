"""Runs console scripts in forks of a process that has imported their libraries; `tests.support.warm` asks it.

It is started with the Python of the scripts, and knows nothing else of this project:
`python fork_server.py SOCKET CODE OWNER`. It ends with the process whose id is OWNER.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import selectors
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn


def main(path: str, code: str, owner: int) -> dict[str, Any]:
    """Run the code that imports, then serve until the owner ends. Returns, in a fork, what is to run."""
    ended = os.pidfd_open(owner)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{path}.new")
    server.listen(64)  # those who ask wait for the imports
    Path(f"{path}.new").rename(path)
    exec(code, {})
    gc.freeze()  # or every fork would copy the pages that its collector looks at
    events = selectors.DefaultSelector()
    events.register(server, selectors.EVENT_READ)
    events.register(ended, selectors.EVENT_READ)
    while True:
        for key, _ in events.select():
            if key.fd == ended:
                shutil.rmtree(Path(path).parent, ignore_errors=True)
                sys.exit()
            if key.fileobj is not server:
                events.unregister(key.fd)
                answer(key.fd, *key.data)
                continue
            connection, _ = server.accept()
            message, stream = asked(connection)
            if (pid := os.fork()) == 0:
                attend(stream)
                return message
            os.close(stream)
            connection.sendall(f"{pid}\n".encode())
            events.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))


def asked(connection: socket.socket) -> tuple[dict[str, Any], int]:
    """Return what is to run, and the file descriptor for what it prints."""
    message, fds, _, _ = socket.recv_fds(connection, 1 << 20, 1)
    while not message.endswith(b"\n"):
        message += connection.recv(1 << 20)
    return dict(json.loads(message)), fds[0]


def answer(descriptor: int, pid: int, connection: socket.socket) -> None:
    """Send how a fork ended."""
    os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with connection, contextlib.suppress(BrokenPipeError):  # who asked may have given up
        connection.sendall(f"{code}\n".encode())


def attend(stream: int) -> None:
    """Be a process of its own, whose output goes to a stream."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (stream, 1), (stream, 2)):
        os.dup2(descriptor, place)
    os.close(nothing)
    os.close(stream)


def run(message: dict[str, Any]) -> NoReturn:
    """Run the script to its end.

    It ends without taking the interpreter apart, which would touch, and so copy, all that was imported.
    """
    os.environ.clear()
    os.environ.update(message["env"])
    sys.argv[:] = message["command"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    code: Any = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
