"""One stage as one local process, started under the guard."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from osft_pipeline.chart import checkout
from osft_pipeline.local import guard
from osft_pipeline.local.places import Machine, Places, prepare
from osft_pipeline.local.plan import Step
from osft_pipeline.local.variables import environment, expand, is_secret
from osft_workspace import UserError, printable

GRACE_SECONDS = 30  # Kubernetes' own default
IMAGES = ("download", "train", "eval", "register")


@dataclass(frozen=True, slots=True)
class Ended:
    """How one attempt ended."""

    code: int
    peak: int
    """Most bytes of memory that all its processes held together, sampled once a second."""
    message: str
    """The stage's own last sentence."""
    late: bool = False
    """Stopped because its deadline passed."""


def environment_of(step: Step) -> Path:
    """Return the `bin` folder in place of the step's image: `.venvs/<image>`, or the stage's own."""
    image = str(step.container["image"]).rpartition("/")[2].partition("@")[0].partition(":")[0]
    program = str(next(iter(step.container.get("command") or [""]))).removeprefix("osft-")
    # A mirror may give an image any name; helpers of the chart run from the download image.
    name = next((name for name in (image, step.stage, program) if name in IMAGES), IMAGES[0])
    return environments() / name / "bin"


def environments() -> Path:
    """Return the folder of the stages' environments. Raises UserError outside a checkout."""
    folder = checkout()
    if folder is None:
        raise UserError(
            "--local runs the stages from the environments of a checkout of osft-pipeline, and neither this "
            "program nor the current folder is in one. Run it in a checkout, or use a cluster."
        )
    return folder / ".venvs"


def program(step: Step) -> Path:
    """Return the program of the container. Raises UserError if its environment is missing."""
    command = step.container.get("command")
    if not command:
        raise UserError(
            f"the container of {step.stage} names no command, and what its image starts is unknown here. "
            "Run it on a cluster."
        )
    path = environment_of(step) / str(command[0])
    if not path.exists():
        stage = path.parent.parent.name
        raise UserError(
            f"{command[0]} is missing in .venvs/{stage}. `scripts/setup demo` installs what runs need."
        )
    return path


def command_line(step: Step, machine: Machine, places: Places) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the variables of one attempt on this machine."""
    path = program(step)
    env = environment(step, machine, places, path.parent)
    words = [*step.container["command"][1:], *(step.container.get("args") or [])]
    return [str(path), *(places.local(expand(str(word), env)) for word in words)], env


def describe(step: Step, machine: Machine) -> str:
    """Return what would be started, for people to read, without the values of Secrets."""
    places = prepare(step, machine)
    try:
        command, env = command_line(step, machine, places)
    finally:
        shutil.rmtree(places.scratch, ignore_errors=True)
    given = [entry["name"] for entry in step.container.get("env") or [] if entry["name"] in env]
    shown = [f"{name}={'(secret)' if is_secret(step, name) else shlex.quote(env[name])}" for name in given]
    lines = [printable(line) for line in (*shown, *(shlex.quote(word) for word in command))]
    return " \\\n".join(f"  {line}" for line in lines).replace(str(places.scratch), "$SCRATCH")


class Child:
    """A running stage."""

    def __init__(self, step: Step, machine: Machine) -> None:
        places = prepare(step, machine)
        command, env = command_line(step, machine, places)
        grace = step.pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        self.pipe, report = os.pipe()
        parent = str(os.getpid())
        guarded = [sys.executable, "-I", guard.__file__, str(report), str(grace), str(places.scratch)]
        try:
            # A session of its own: Ctrl-C reaches only this process, which decides what to stop.
            self.process = subprocess.Popen(
                [*guarded, str(places.termination_log), "--", *command],
                env=env | {"OSFT_LOCAL_PARENT": parent},
                cwd=places.local(str(step.container.get("workingDir") or "/tmp")),
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


def run_once(step: Step, machine: Machine, seconds: float | None, started: Callable[[Child], None]) -> Ended:
    """Run one attempt of a step; `started` gets the running child so that signals can reach it."""
    machine.workspace.mkdir(parents=True, exist_ok=True)
    child = Child(step, machine)
    started(child)
    return child.wait(seconds)


def check_programs(steps: Sequence[Step]) -> None:
    """Raise UserError at once for a step that could not start later."""
    for step in steps:
        program(step)
