"""What the tests of runs on this machine share."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OSFT = ROOT / ".venvs" / "client" / "bin" / "osft"


def call(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, with the caller's environment and `env`."""
    return subprocess.run(
        [str(word) for word in words],
        env={**os.environ, "PATH": f"{OSFT.parent}:{os.environ['PATH']}", "NO_COLOR": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def on_terminal(*words: str, width: int = 100, typed: str = "") -> str:
    """What osft prints on a terminal of this width, where a question gets the answer `typed`."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        os.execve(OSFT, [str(OSFT), *words], environment | {"TERM": "xterm"})
    if typed:
        os.write(terminal, f"{typed}\n".encode())
    seen = b""
    with contextlib.suppress(OSError):  # the other end has closed
        while chunk := os.read(terminal, 4096):
            seen += chunk
    os.waitpid(pid, 0)
    return seen.decode()


def wait_for(what: Callable[[], bool], seconds: float = 120) -> bool:
    """Whether something came true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.05)
    return False


def living(mark: str) -> list[str]:
    """Command lines of all processes whose environment or command line holds `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
                if mark.encode() in words + (entry / "environ").read_bytes():
                    found.append(words.replace(b"\0", b" ").decode())
            except OSError:
                continue  # ended while we looked, or another user's
    return [line for line in found if line]  # a zombie has no command line


def stages(output: str) -> list[str]:
    """The stages whose headings stand in the output, in order."""
    return re.findall(r"^\[\d+/\d+\] (\w+)$", output, re.MULTILINE)
