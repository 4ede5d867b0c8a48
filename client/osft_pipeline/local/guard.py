"""Runs one stage like a container: whatever happens outside, no process of it is left.

`processes.py` starts it as a program of its own, because it must outlive a killed `osft run` long enough to
clean up. It adopts every orphan of the stage, stops the stage when asked, kills what is left when the
stage's first process ends (as a container runtime does), measures memory and removes the scratch folder.

    python guard.py REPORT_FD GRACE_SECONDS SCRATCH TERMINATION_LOG -- COMMAND...

SIGTERM stops the stage and gives it GRACE_SECONDS; SIGINT kills it at once. Death of the parent is a SIGINT.
Only the standard library is imported: this must start in milliseconds.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 1.0
PAGE = os.sysconf("SC_PAGE_SIZE")
WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
MESSAGE_BYTES = 4096  # what the kubelet keeps of a termination message


def prctl(option: int, value: int) -> None:
    """Call prctl(2); raises OSError when the kernel refuses."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """Ask for `number` when the parent dies, also when it died before we could ask."""
    prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def descendants(root: int) -> dict[int, int]:
    """Return every living process below `root` with the bytes of memory it holds."""
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in brackets may hold spaces and brackets itself.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
                    resident[int(entry.name)] = int(fields[21]) * PAGE
    found: dict[int, int] = {}
    todo = [root]
    while todo:
        for child in children.get(todo.pop(), []):
            found[child] = resident[child]
            todo.append(child)
    return found


class Guard:
    """Watches one stage from its start to the end of its last process."""

    def __init__(self, command: list[str], grace: float) -> None:
        self.grace = grace
        self.peak = 0
        self.kill_at: float | None = None
        mine = os.getpid()

        def in_child() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            die_with_parent(mine, signal.SIGKILL)

        self.main = subprocess.Popen(command, preexec_fn=in_child, close_fds=True).pid

    def run(self) -> int:
        """Wait for the stage; returns its exit code, 128 + n for signal n as container runtimes do."""
        sample_at = 0.0
        while True:
            taken = signal.sigtimedwait(WATCHED, SAMPLE_SECONDS / 2)
            now = time.monotonic()
            if taken and taken.si_signo == signal.SIGTERM and self.kill_at is None:
                self.kill_at = now + self.grace
                self.send(self.main, signal.SIGTERM)
            if taken and taken.si_signo == signal.SIGINT:
                self.kill_at = now
            if self.kill_at is not None and now >= self.kill_at:
                self.kill_all()
            if now >= sample_at:
                sample_at = now + SAMPLE_SECONDS
                self.peak = max(self.peak, sum(descendants(os.getpid()).values()))
            code = self.reap()
            if code is not None:
                return code

    def reap(self) -> int | None:
        """Collect ended processes; returns the stage's code once its first process is among them."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            self.peak = max(self.peak, usage.ru_maxrss * 1024)
            if pid == self.main:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def kill_all(self) -> None:
        """Kill whatever is left below us, until a look finds nothing."""
        while left := descendants(os.getpid()):
            for pid in left:
                self.send(pid, signal.SIGKILL)
            time.sleep(0.01)

    @staticmethod
    def send(pid: int, number: signal.Signals) -> None:
        """Signal a process that may be gone already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def main() -> None:
    """Run the guard; the report is one JSON object: code, peak (bytes), message."""
    report, grace, scratch, log = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    die_with_parent(int(os.environ.pop("OSFT_LOCAL_PARENT")), signal.SIGINT)
    message = ""
    try:
        guard = Guard(sys.argv[6:], grace)
        code, peak = guard.run(), guard.peak
        guard.kill_all()
        if log.is_file():
            message = log.read_bytes()[:MESSAGE_BYTES].decode("utf-8", "replace").strip()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(BrokenPipeError):
        os.write(report, json.dumps({"code": code, "peak": peak, "message": message}).encode())


if __name__ == "__main__":
    main()
