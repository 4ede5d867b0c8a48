"""One attempt of a step as a child of this program, under the guard, whatever it is a child of."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from osft_pipeline.local import guard
from osft_pipeline.local.places import Machine, Places, prepare
from osft_pipeline.local.plan import Step
from osft_pipeline.local.variables import is_secret
from osft_workspace import printable

GRACE_SECONDS = 30  # Kubernetes' own default


@dataclass(frozen=True, slots=True)
class Ended:
    """How one attempt ended."""

    code: int
    peak: int
    """Most bytes of memory that all its processes held together, sampled once a second; 0 if not known."""
    message: str
    """The stage's own last sentence."""
    late: bool = False
    """Stopped because its deadline passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is started for one attempt."""

    command: list[str]
    env: dict[str, str]
    """All variables of the command."""
    named: Sequence[str]
    """Names of the variables that a description shows before the command."""
    folder: str | None = None
    """Where it is started; None for the current folder."""
    engine: str = ""
    """Program of the container engine that the command calls; empty for a process."""


class Starter(Protocol):
    """How a step becomes a child of this program."""

    def check(self, steps: Sequence[Step]) -> None:
        """Raise UserError or Problems at once for a step that could not start later."""

    def launch(self, step: Step, machine: Machine, places: Places) -> Launch:
        """Return what to start for one attempt of a step, whose folders are `places`."""


def describe(step: Step, machine: Machine, starter: Starter) -> str:
    """Return what would be started, for people to read, without the values of Secrets."""
    places = prepare(step, machine)
    try:
        launch = starter.launch(step, machine, places)
    finally:
        shutil.rmtree(places.scratch, ignore_errors=True)
    shown = [
        f"{name}={'(secret)' if is_secret(step, name) else shlex.quote(launch.env[name])}"
        for name in launch.named
    ]
    lines = [printable(line) for line in (*shown, *(shlex.quote(word) for word in launch.command))]
    return " \\\n".join(f"  {line}" for line in lines).replace(str(places.scratch), "$SCRATCH")


class Child:
    """A running stage."""

    def __init__(self, step: Step, machine: Machine, starter: Starter) -> None:
        places = prepare(step, machine)
        launch = starter.launch(step, machine, places)
        grace = step.pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        self.pipe, report = os.pipe()
        kept = [str(path) for path in (places.scratch, places.termination_log, places.container_id)]
        guarded = [sys.executable, "-I", guard.__file__, str(report), str(grace), *kept, launch.engine]
        try:
            # A session of its own: Ctrl-C reaches only this process, which decides what to stop.
            self.process = subprocess.Popen(
                [*guarded, "--", *launch.command],
                env=launch.env | {"OSFT_LOCAL_PARENT": str(os.getpid())},
                cwd=launch.folder,
                pass_fds=(report,),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(report)

    def stop(self) -> None:
        """Ask the stage to stop; after its grace period it is killed."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the stage and everything it started."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds: float | None) -> Ended:
        """Wait for the end, at most `seconds`; then stop it and say so."""
        late = False
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
            self.stop()
            self.process.wait()
        with os.fdopen(self.pipe, "rb") as pipe:
            text = pipe.read()
        if not text:
            return Ended(code=128 + signal.SIGKILL, peak=0, message="", late=late)
        report = json.loads(text)
        return Ended(code=report["code"], peak=report["peak"], message=report["message"], late=late)


def run_once(
    step: Step, machine: Machine, starter: Starter, seconds: float | None, started: Callable[[Child], None]
) -> Ended:
    """Run one attempt of a step; `started` gets the running child so that signals can reach it."""
    machine.workspace.mkdir(parents=True, exist_ok=True)
    child = Child(step, machine, starter)
    started(child)
    return child.wait(seconds)
