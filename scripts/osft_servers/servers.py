"""Servers that live as long as who started them: started, waited for, ended."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from osft_servers.ending import leave_if_asked
from osft_servers.parent import die_with_parent

START_SECONDS = 90.0
STOP_SECONDS = 40.0


class Failed(Exception):
    """One sentence for the user."""


def spawn(
    command: list[str], log: Path, when_we_die: signal.Signals = signal.SIGTERM
) -> subprocess.Popen[bytes]:
    """Start a server in its own session, so that Ctrl-C does not stop it before its client."""
    parent = os.getpid()
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent, when_we_die),
        )


def start_ticks(pid: int) -> int | None:
    """When a living process began; with its number it names one process for ever."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, again when it was too young to hear it, and insist after a while."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
            return
    process.kill()
    process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers. Raises Failed with the end of its log when it ends or takes too long.

    Leaves after a signal that `ending` remembers.
    """
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        leave_if_asked()
        if process.poll() is not None or time.monotonic() > deadline:
            what = "ended" if process.poll() is not None else f"did not answer in {START_SECONDS:.0f} s"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise Failed(f"{log.stem} {what}. The end of {log}:\n{tail}")
        time.sleep(0.05)
