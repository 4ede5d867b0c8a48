"""A step as a process of this machine, from the environments of a checkout."""

from collections.abc import Sequence
from pathlib import Path

from osft_pipeline.chart import checkout
from osft_pipeline.local.children import Launch
from osft_pipeline.local.places import Machine, Places
from osft_pipeline.local.plan import Step
from osft_pipeline.local.variables import environment, expand
from osft_workspace import UserError

IMAGES = ("download", "train", "eval", "register")


class Processes:
    """Starts the command of a container as a process."""

    def check(self, steps: Sequence[Step]) -> None:
        """Raise UserError at once for a step that could not start later."""
        for step in steps:
            program(step)

    def launch(self, step: Step, machine: Machine, places: Places) -> Launch:
        """Return the command with the folders of this machine in place of the container's."""
        path = program(step)
        env = environment(step, machine, places, path.parent)
        words = [*step.container["command"][1:], *(step.container.get("args") or [])]
        return Launch(
            command=[str(path), *(places.local(expand(str(word), env)) for word in words)],
            env=env,
            named=[entry["name"] for entry in step.container.get("env") or [] if entry["name"] in env],
            folder=places.local(str(step.container.get("workingDir") or "/tmp")),
        )


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
            "this needs the environments of a checkout of osft-pipeline, and neither this program nor the "
            "current folder is in one. Run it in a checkout; osft run --local can also start the stages from "
            "their images (--engine podman or docker)."
        )
    return folder / ".venvs"


def program(step: Step) -> Path:
    """Return the program of the container. Raises UserError if its environment is missing."""
    command = step.container.get("command")
    if not command:
        raise UserError(
            f"the container of {step.stage} names no command, and what its image starts is unknown here. "
            "Run it with --engine podman or docker, or on a cluster."
        )
    path = environment_of(step) / str(command[0])
    if not path.exists():
        stage = path.parent.parent.name
        raise UserError(
            f"{command[0]} is missing in .venvs/{stage}. `scripts/setup demo` installs what runs need."
        )
    return path
