"""Starts the stages' own commands and our programs, within the time of a section."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from osft_gpu.clock import Clock
from osft_gpu.lines import Failed, Skipped

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


class Stages:
    """The environments that run the stages, and one log of everything that they print."""

    def __init__(self, folder: Path | None, log: Path, clock: Clock) -> None:
        """Use one environment for all stages, or, where no folder is given, each stage's own."""
        self.folder, self.log, self.clock = folder, log, clock
        log.write_text("")

    def program(self, stage: str, name: str) -> str:
        """Return the path of a program in the environment of a stage."""
        return str((self.folder or ROOT / ".venvs" / stage) / "bin" / name)

    @contextmanager
    def started(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command in a session of its own, all of which ends with the block."""
        paths = [str(ROOT / "benchmarks"), str(ROOT), os.environ.get("PYTHONPATH", "")]
        env = {**os.environ, **OFFLINE, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def wait(self, process: subprocess.Popen[bytes], name: str) -> int:
        """Return the exit code.

        Raises:
            Skipped: the section has no time left.
        """
        left = self.clock.left()
        try:
            return process.wait(timeout=max(left, 0))
        except subprocess.TimeoutExpired as error:
            raise Skipped(f"{name} did not end in the {max(left, 0):.0f} s that were left") from error

    def run(self, stage: str, name: str, *words: str) -> str:
        """Run a program of a stage's environment to its end; return what it printed.

        Raises:
            Skipped: the section has no time left.
            Failed: it ended with an error, whose last line is given.
        """
        begin = self.log.stat().st_size
        with self.started([self.program(stage, name), *words]) as process:
            code = self.wait(process, name)
        printed = self.log.read_bytes()[begin:].decode(errors="replace")
        if code:
            last = next((line for line in reversed(printed.splitlines()) if line.strip()), "")
            raise Failed(f"{name} ended with exit code {code}: {last}")
        return printed

    def ask(self, module: str, *words: str) -> list[dict[str, Any]]:
        """Run a module of ours beside torch; return the JSON lines that it printed."""
        printed = self.run("train", "python", "-m", module, *words)
        return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]

    def has(self, stage: str, module: str) -> bool:
        """Return whether a library is installed for a stage."""
        check = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        return not subprocess.run([self.program(stage, "python"), "-c", check], check=False).returncode


def wait_for_lines(file: Path, count: int, process: subprocess.Popen[bytes], clock: Clock) -> None:
    """Return when a file has so many whole lines.

    Raises:
        Skipped: the section has no time left.
        Failed: the process ended before.
    """
    while not file.is_file() or file.read_bytes().count(b"\n") < count:
        if process.poll() is not None:
            raise Failed(f"it ended with exit code {process.returncode} before {count} steps were logged")
        if clock.left() <= 0:
            raise Skipped(f"{count} steps were not logged in the time that was left")
        time.sleep(0.01)
