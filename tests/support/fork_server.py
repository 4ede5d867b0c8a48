"""Runs console scripts in forks of a process that has imported their libraries; `tests.support.warm` asks it.

It is started with the Python of the scripts, and knows nothing else of this project:
`python fork_server.py SOCKET CODE`. It ends when its standard input does.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any


def main(path: str, code: str) -> dict[str, Any]:
    """Run the code that imports, then serve until standard input ends. Returns, in a fork, what is to run."""
    exec(code, {})
    gc.freeze()  # or every fork would copy the pages that its collector looks at
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(64)
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    server.close()
                    return attend(connection)
    sys.exit()


def attend(connection: socket.socket) -> dict[str, Any]:
    """Fork what is asked for and send how it ended. Returns in the fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, fds, _, _ = socket.recv_fds(connection, 1 << 20, 1)
    while not message.endswith(b"\n"):
        message += connection.recv(1 << 20)
    if (child := os.fork()) == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for fd, stream in ((nothing, 0), (fds[0], 1), (fds[0], 2)):
            os.dup2(fd, stream)
        os.close(nothing)
        os.close(fds[0])
        return dict(json.loads(message))
    connection.sendall(f"{child}\n".encode())
    connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    wanted = main(sys.argv[1], sys.argv[2])
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.argv[:] = wanted["command"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
