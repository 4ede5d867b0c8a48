"""Runs one stage like a container: whatever happens outside, no process of it is left.

`processes.py` starts it as a program of its own, because it must outlive a killed `osft run` long enough to
clean up. It adopts every orphan of the stage, stops the stage when asked, kills what is left when the
stage's first process ends (as a container runtime does), measures memory and removes the scratch folder.

    python guard.py REPORT_FD GRACE_SECONDS SCRATCH TERMINATION_LOG CONTAINER_ID ENGINE -- COMMAND...

ENGINE is the program of a container engine if the command runs a container, whose id it writes to the file
CONTAINER_ID; otherwise it is empty. SIGTERM stops the stage and gives it GRACE_SECONDS; SIGINT kills it at
once. Death of the parent is a SIGINT.
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
ENGINE_SECONDS = 20.0  # an engine that does not answer for so long hangs
ENGINE_FAILED = 125  # exit code of podman and docker where they, not the container, failed
USER_ERROR = 2


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
            unblocked()
            die_with_parent(mine, signal.SIGKILL)

        # Kept, because subprocess collects the exit code of a child whose object is gone at its next start.
        self.process = subprocess.Popen(command, preexec_fn=in_child, close_fds=True)
        self.main = self.process.pid

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


class ContainerGuard(Guard):
    """Watches the client of a container engine, whose container need not be below us.

    Memory is not measured: what a daemon starts is not below us either.
    """

    def __init__(self, command: list[str], grace: float, engine: str, container_id: Path) -> None:
        super().__init__(command, grace)
        self.engine, self.container_id = engine, container_id

    def run(self) -> int:
        """Wait for the container; what the engine itself could not do is for the user to fix."""
        code = super().run()
        self.peak = 0
        return USER_ERROR if code == ENGINE_FAILED else code

    def kill_all(self) -> None:
        """Kill and remove our own container, never another one of its name."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            container = self.container_id.read_text().strip()
            for verb in (("kill",), ("rm", "--force")):
                subprocess.run(
                    [self.engine, *verb, container],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=ENGINE_SECONDS,
                    check=False,
                    preexec_fn=unblocked,
                )
        if self.kill_at is not None and time.monotonic() > self.kill_at + ENGINE_SECONDS:
            super().kill_all()


def unblocked() -> None:
    """Let a child receive every signal."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def main() -> None:
    """Run the guard; the report is one JSON object: code, peak (bytes; 0 if not known), message."""
    report, grace = int(sys.argv[1]), float(sys.argv[2])
    scratch, log, container_id = (Path(word) for word in sys.argv[3:6])
    engine, command = sys.argv[6], sys.argv[8:]
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    die_with_parent(int(os.environ.pop("OSFT_LOCAL_PARENT")), signal.SIGINT)
    message = ""
    try:
        guard = ContainerGuard(command, grace, engine, container_id) if engine else Guard(command, grace)
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
