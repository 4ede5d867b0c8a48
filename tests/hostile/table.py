"""One table of hostile and faulty inputs: each row is one command, and what a user must see of it.

A module of this folder holds the rows of one kind. `check` runs a command with secrets in its environment,
holds it to its exit code, its sentence and its memory, and searches everything that it wrote for the secrets.
"""

import base64
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.support import warm
from tests.support.sandbox import ROOT, SECRETS, executable, stage_env

BUG = "This is a bug"
HELM = ROOT / ".cache" / "bin" / "helm4"
CHART = ROOT / "charts" / "osft-pipeline"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
KINDS = re.compile(r"^(\w+): +(\d+) kB", re.MULTILINE)
RUN = "run-1"
MEGABYTE = 1_000_000
PLANTED = "planted-canary-4e81c7"
"""A secret that no variable holds: rows put it into user info, queries, names and answers of servers."""
MEMORY = {"download": 256, "register": 128}
"""Megabytes that these stages may take whatever comes from outside; the others load models."""


@dataclass
class Bench:
    """Where a row makes its inputs, and what it leaves to be closed."""

    base: Path
    closing: ExitStack
    env: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        return self.base / "workspace"

    def file(self, name: str, content: bytes) -> Path:
        """Write an input file and return its path."""
        path = self.base / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def stage(self, stage: str, *words: str | Path, run: str = RUN) -> list[str]:
        """Return the command line of a stage in this workspace."""
        own = ["--workspace", str(self.workspace), "--run-id", run]
        return [executable(stage), *own, *map(str, words)]

    def helm(self, *words: str | Path) -> list[str]:
        """Return a `helm template` of the chart with a data.uri and these words."""
        return [str(HELM), "template", "run1", str(CHART), "--set=data.uri=hf://org/rows", *map(str, words)]


Arrange = Callable[[Bench], Sequence[str]]


@dataclass(frozen=True)
class Row:
    """One command and its end.

    Attributes:
        name: what comes from outside, in a few words; the test's id.
        arrange: makes the inputs and returns the command.
        code: exit code; 2: the user must fix it, 75: retried, 1: helm's own.
        says: a regular expression that stands in the output.
        megabytes: most resident memory of the processes together; None: the stage's bound, if it has one.
        seconds: time after which the command hangs, so that the test fails.
    """

    name: str
    arrange: Arrange
    code: int
    says: str
    megabytes: int | None = None
    seconds: float = 90


@dataclass(frozen=True)
class End:
    """What is left of a command."""

    code: int
    printed: str
    peak: int
    """Bytes."""


def run(command: Sequence[str], env: Mapping[str, str], seconds: float, *, watched: bool = True) -> End:
    """Start a program and run it to its end and, where asked, watch the memory of its processes."""
    with subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:  # fmt: skip
        peaks = [0]
        watcher = threading.Thread(target=watch, args=(process, peaks), daemon=True)
        if watched:
            watcher.start()
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            printed, _ = process.communicate()
            printed += f"\nstill running after {seconds} s".encode()
        if watched:
            watcher.join()
    return End(process.returncode, printed.decode("utf-8", "backslashreplace"), peaks[0])


def run_warm(command: Sequence[str], env: Mapping[str, str], seconds: float) -> End:
    """Run a stage in a fork to its end and watch its memory."""
    peaks = [0]

    def watch_fork(pid: int) -> None:
        while Path(f"/proc/{pid}").exists():
            peaks[0] = max(peaks[0], fork_memory(pid))
            time.sleep(0.05)

    def begun(pid: int) -> None:
        threading.Thread(target=watch_fork, args=(pid,), daemon=True).start()

    code, printed = warm.run(command, env, seconds, begun)
    return End(code, printed, peaks[0])


def watch(process: "subprocess.Popen[bytes]", peaks: list[int]) -> None:
    """Keep the largest resident memory of a session's processes together."""
    while process.poll() is None:
        peaks[0] = max(peaks[0], session_memory(process.pid))
        time.sleep(0.05)


def session_memory(session: int) -> int:
    """Return the bytes that all processes of a session hold, pages that they share counted once."""
    return sum(held["Pss"] for held in memory(session).values())


def fork_memory(session: int) -> int:
    """Return what `session_memory` would for a program, where its first process is a fork of another one.

    Pages that it shares with that one are its own, those that its forks share with it are not theirs.
    """
    held = memory(session)
    own = held.pop(session, {"Rss": 0})["Rss"]
    return own + sum(each["Private_Clean"] + each["Private_Dirty"] for each in held.values())


def memory(session: int) -> dict[int, dict[str, int]]:
    """Return the bytes of each kind that the processes of a session hold."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[3]) == session:
                    kinds = KINDS.findall((entry / "smaps_rollup").read_text())
                    found[int(entry.name)] = {kind: int(size) * 1024 for kind, size in kinds}
            except (OSError, IndexError):
                continue  # ended while we looked
    return {pid: kinds for pid, kinds in found.items() if kinds}


def check(row: Row, base: Path) -> None:
    """Run a row and hold it to all that every row must show."""
    with ExitStack() as closing:
        bench = Bench(base, closing)
        for folder in (bench.workspace, base / "scratch"):
            folder.mkdir()
        log = base / "termination"
        command = row.arrange(bench)
        extra = {**SECRETS, "OSFT_TERMINATION_LOG": str(log), "OSFT_DATA_MIN_TOKENS": "0", **bench.env}
        bound = row.megabytes or MEMORY.get(Path(command[0]).name.removeprefix("osft-"))
        env = stage_env(bench.workspace, base / "scratch", extra)
        if row.megabytes is None and warm.knows(command) and warm.may_fork(extra, command):
            end = run_warm(command, env, row.seconds)
        else:
            end = run(command, env, row.seconds, watched=bound is not None)
    assert end.code == row.code, end.printed
    assert re.search(row.says, end.printed), end.printed
    assert BUG not in end.printed and "Traceback" not in end.printed, end.printed
    assert not CONTROL.search(end.printed), ascii(end.printed)
    assert bound is None or end.peak <= bound * MEGABYTE, f"{end.peak / MEGABYTE:.0f} MB"
    check_secrets(end.printed, bench, log)


def check_secrets(printed: str, bench: Bench, log: Path) -> None:
    """Search the output, the termination message and all files of the workspace for secrets.

    Names of files are searched as well, for secrets as they are, in URLs, in base64 and in hexadecimal.
    """
    texts = {"output": printed.encode()}
    for path in [log, *bench.workspace.rglob("*")]:
        texts[f"name {path}"] = path.relative_to(bench.base).as_posix().encode("utf-8", "surrogateescape")
        if path.is_file() and not path.is_symlink():
            texts[str(path)] = path.read_bytes()
    secrets = {**SECRETS, "planted": PLANTED}
    pairs = [(name, form) for name, value in secrets.items() for form in forms(value)]
    found = [(name, where) for name, value in pairs for where, text in texts.items() if value in text]
    assert not found, found


def forms(value: str) -> set[bytes]:
    """Return a secret in every form in which it may be sent."""
    plain = value.encode()
    return {plain, quote(value, safe="").encode(), base64.b64encode(plain).rstrip(b"="), plain.hex().encode()}
