"""The command line of podman or docker: what it knows of images and containers."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from osft_pipeline.local.plan import RUN_ID
from osft_workspace import UserError, printable

NAMES = ("podman", "docker")
# Docker lists `rootless` among these where its daemon runs as the caller.
INFO = {"podman": "{{.Host.OS}}", "docker": "{{.SecurityOptions}}"}


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine of this machine."""

    name: str

    @property
    def program(self) -> str:
        """Return its program; its bare name where PATH has none."""
        return shutil.which(self.name) or self.name

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands to the end."""
        return subprocess.run(
            [self.program, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    def require(self) -> None:
        """Raise UserError where its program is missing or does not answer."""
        if shutil.which(self.name) is None:
            raise UserError(
                f"{self.name} was not found on PATH, and --engine {self.name} runs the stages with it. "
                "Install it, or name another engine."
            )
        done = self.info()
        if done.returncode != 0:
            raise UserError(
                f"{self.name} does not answer ({last_line(done)}). Start it, or allow this user to use it."
            )

    def info(self) -> subprocess.CompletedProcess[str]:
        """Return what the engine answers about itself."""
        return self.ask("info", "--format", INFO[self.name])

    def user(self) -> list[str]:
        """Return the flag with which files that a container writes belong to the caller.

        Root of a container is the caller where the engine runs as the caller. Podman's keep-id maps another
        user to the caller, but changes the owner of every file of an image when that first starts.
        """
        if self.name == "podman" or (shutil.which(self.name) and "rootless" in self.info().stdout):
            return ["--user=0:0"]
        return [f"--user={os.geteuid()}:{os.getegid()}"]

    def require_images(self, images: Iterable[str]) -> None:
        """Raise UserError that names the images which are not on this machine."""
        missing = [
            image for image in dict.fromkeys(images) if self.ask("image", "inspect", image).returncode != 0
        ]
        if missing:
            raise UserError(
                f"{self.name} does not have {', '.join(missing)}; expected the images of all stages on this "
                f"machine. Pull them (`{self.name} pull {missing[0]}`), name others with --set "
                "images.registry=REGISTRY,images.tag=TAG, or build them: client/README.md describes how, and "
                "how to load those that `make images` built."
            )

    def clear(self, container: str, run: str) -> None:
        """Remove what a killed start of this run left. Raises UserError for a container in use."""
        template = f'{{{{.State.Status}}}} {{{{index .Config.Labels "{RUN_ID}"}}}}'
        found = self.ask("container", "inspect", "--format", template, container)
        if found.returncode != 0:
            return
        status, _, owner = found.stdout.strip().partition(" ")
        if owner != run or status in ("running", "paused"):
            raise UserError(
                f"a container named {container} is already there ({printable(status)}). If another osft run "
                f"is at work, wait for it; otherwise remove it with `{self.name} rm --force {container}`."
            )
        self.ask("rm", "--force", container)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what a command reported."""
    return printable((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
