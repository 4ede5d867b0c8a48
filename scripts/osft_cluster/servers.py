"""A list of servers that were started, and how each is stopped."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from osft_cluster.places import BIN, Cluster
from osft_servers.ending import leave_if_asked
from osft_servers.servers import Failed, spawn, start_ticks, stop_process, wait_until

NEVER = 1e9
STARTED = "servers"


class Servers:
    """The processes of a cluster, in the order of their start."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """Return where a server writes."""
        return self.cluster.logs / f"{name}.log"

    def start(self, name: str, *command: str, env: dict[str, str] | None = None) -> None:
        """Start a server; a name without a folder is one of ours or the system's."""
        leave_if_asked()
        program = BIN / command[0]
        words = [str(program if program.exists() else command[0]), *command[1:]]
        if env:
            words = ["env", *(f"{key}={value}" for key, value in env.items()), *words]
        self.log(name).write_text("")
        self.running[name] = process = spawn(words, self.log(name))
        # For `down` after this process was killed: a number and a start name one process for ever.
        with (self.cluster.run / STARTED).open("a") as started:
            started.write(f"{process.pid} {start_ticks(process.pid)}\n")

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until a server answers. Raises Failed with the end of its log when that does not happen."""
        wait_until(ready, self.running[name], self.log(name))

    def stop(self, *names: str) -> None:
        """End servers, the last started first."""
        for name in reversed(names):
            if process := self.running.pop(name, None):
                stop_process(process)

    def dead(self) -> list[str]:
        """Servers that ended by themselves."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def watch(self, until: float = NEVER) -> None:
        """Stay until a time of the monotonic clock. Raises Failed when a server ends by itself."""
        while time.monotonic() < until:
            leave_if_asked()
            if dead := self.dead():
                tail = "\n".join(self.log(dead[0]).read_text(errors="replace").splitlines()[-8:])
                raise Failed(f"{dead[0]} ended by itself. The end of {self.log(dead[0])}:\n{tail}")
            time.sleep(0.5)
