"""Opens a claim of the cluster through a short-lived pod and `kubectl exec`."""

import json
import re
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn, Self

import click

from osft_pipeline import claim_pod
from osft_pipeline.follow.pods import view, waiting_words
from osft_pipeline.kubectl import Json, Kubectl, failure, find
from osft_pipeline.terminal import plain
from osft_workspace import Transient, UserError

START_SECONDS = 180.0
SAY_AFTER_SECONDS = 5.0
LOOK_SECONDS = 1.0
MISSING = 66
READ = f'[ -f "$1" ] || exit {MISSING}; exec tail -c "+$2" -- "$1"'
"""Prints a file from a byte on, counted from 1."""
COMMAND_ENDED = re.compile(r"command terminated with exit code (\d+)")
NEVER = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
RIGHTS = "get on persistentvolumeclaims, create and delete on pods, create on pods/exec"


def forbidden(words: str) -> UserError:
    """Return the sentence for a missing right."""
    return UserError(
        f"you are not allowed to start a pod that mounts the workspace ({words}). Ask for the Role of "
        f"docs/cluster.md#rights: it has {RIGHTS}."
    )


def stop(number: int, frame: FrameType | None) -> NoReturn:
    """End by an exception, so that the pod is deleted."""
    raise SystemExit(128 + number)


def handle(handler: Any, *signals: signal.Signals) -> None:
    """Set the handler of signals, which only the main thread may."""
    if threading.current_thread() is threading.main_thread():
        for number in signals:
            signal.signal(number, handler)


class ClaimPod:
    """A pod that mounts the claim of a release, read-only by default; deleted at the end of the `with` block.

    `use` is a part of its name, and says what it is for.
    """

    def __init__(
        self, kubectl: Kubectl, release: str, template: Json, use: str = "read", writable: bool = False
    ) -> None:
        self.kubectl, self.template, self.use, self.writable = kubectl, template, use, writable
        self.name = f"{release[:40]}-{use}-{secrets.token_hex(4)}"
        self.claim = claim_pod.claim_name(template)
        self.root = str(claim_pod.workspace_mount(template)["mountPath"])

    def __enter__(self) -> Self:
        node = self.check()
        try:
            handle(stop, signal.SIGTERM, signal.SIGHUP)
            if click.get_current_context(silent=True):  # in a notebook Ctrl-C stays a KeyboardInterrupt
                handle(stop, signal.SIGINT)
            self.create(node)
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *ended: object) -> None:
        """Delete the pod. It also ends by itself, so a failure is only reported."""
        handle(signal.SIG_IGN, signal.SIGINT)  # a second Ctrl-C, also for kubectl
        try:
            words = ("delete", "pod", self.name, "--ignore-not-found", "--now", "--wait=false")
            code, _, said = self.kubectl.call(*words)
        except Transient as error:
            code, said = error.exit_code, error.message
        if code != 0:
            click.echo(f"The pod {self.name} was not deleted ({plain(said)}). It ends by itself.", err=True)
        handle(signal.default_int_handler, signal.SIGINT)
        handle(signal.SIG_DFL, signal.SIGTERM, signal.SIGHUP)

    def check(self) -> str:
        """Return the node that the pod must run on, empty for any. Raises UserError for what cannot work."""
        code, text, said = self.kubectl.call("get", "persistentvolumeclaim", self.claim, "--output=json")
        if "NotFound" in said:
            raise UserError(
                f"the PersistentVolumeClaim {self.claim} does not exist in namespace "
                f"{self.kubectl.namespace()}, so the run's files are gone. Start the run again."
            )
        if code != 0:
            raise forbidden(plain(said)) if "forbidden" in said.lower() else failure(said)
        _, answer, said = self.kubectl.call("auth", "can-i", "create", "pods", "--subresource=exec")
        if answer.strip() == "no":
            raise forbidden("create on pods/exec is denied")
        return claim_pod.node_in_use(json.loads(text), self.kubectl.read("pods"))

    def create(self, node: str) -> None:
        """Create the pod. Raises UserError or Transient."""
        text = json.dumps(claim_pod.manifest(self.name, self.template, node, self.use, self.writable))
        code, _, said = self.kubectl.call("create", "--filename=-", stdin=text)
        if code != 0:
            raise forbidden(plain(said)) if "is forbidden: User" in said else failure(said)

    def wait(self) -> None:
        """Wait until the pod runs. Raises UserError or Transient with what holds it back."""
        began = time.monotonic()
        reported = ""
        while True:
            code, text, said = self.kubectl.call("get", "pod", self.name, "--output=json")
            if code != 0:
                raise failure(said)
            pod = view(json.loads(text))
            if pod.state == "running":
                return
            why = ": ".join(filter(None, waiting_words(pod, self.kubectl.hindrance(self.name))))
            held = f"the pod {self.name}, which mounts the claim {self.claim}, does not start ({why})."
            if pod.state != "pending" or pod.reason in NEVER:
                raise UserError(f"{held} Fix images.*, secrets.* or the limits of the namespace.")
            waited = time.monotonic() - began
            if waited > START_SECONDS:
                raise Transient(
                    f"{held} It was deleted after {START_SECONDS:.0f} s. Run the command again later."
                )
            if waited > SAY_AFTER_SECONDS and why != reported:
                click.echo(f"waiting for {held.removeprefix('the ')}", err=True)
                reported = why
            time.sleep(LOOK_SECONDS)

    def read(self, path: str) -> bytes | None:
        """Return a small file of the claim; None where there is none. Raises UserError or Transient."""
        with tempfile.TemporaryFile() as file:
            if not self.stream(path, file):
                return None
            file.seek(0)
            return file.read()

    def fetch(self, path: str, part: Path, size: int) -> None:
        """Copy a file of the claim into `part`, from where an earlier call left off.

        Raises UserError for a file that does not exist, Transient when the connection is cut: `part` stays.
        """
        with part.open("ab") as file:
            if not self.stream(path, file, file.tell() + 1):
                raise UserError(
                    f"{path} is missing in the claim {self.claim}, expected it because a record names it. "
                    "Run that stage again."
                )
        if part.stat().st_size < size:  # kubectl reports some cuts as a good end
            raise cut(f"{path} was read", "fewer bytes arrived than its record says")

    def stream(self, path: str, into: IO[bytes], first: int = 1) -> bool:
        """Write a file of the claim, from byte `first`, counted from 1; False where it does not exist."""
        code, said = self.run(["sh", "-c", READ, "sh", f"{self.root}/{path}", str(first)], into)
        if code in (0, MISSING):
            return code == 0
        words = last_line(said)
        if "no space left" in said:
            raise UserError(f"the disk of this machine is full ({words}). Free space, then run it again.")
        if code is not None:
            raise UserError(
                f"{path} of the claim {self.claim} cannot be read ({words}). Check its permissions."
            )
        raise forbidden(words) if "forbidden" in said.lower() else cut(f"{path} was read", words)

    def run(self, remote: Sequence[str], into: IO[bytes], given: bytes = b"") -> tuple[int | None, str]:
        """Run a command in the pod with `given` as its stdin and write its stdout to a file.

        Return its exit code, None where kubectl could not run it to its end, and what stands on stderr.
        """
        stdin = ["--stdin"] if given else []
        flags = (*stdin, f"--container={self.use}", *self.kubectl.flags)
        command = [find(), "exec", self.name, *flags, "--", *remote]
        done = subprocess.run(command, input=given, stdout=into, stderr=subprocess.PIPE, check=False)
        said = done.stderr.decode(errors="replace").strip()
        ended = COMMAND_ENDED.search(said)
        return 0 if done.returncode == 0 else int(ended[1]) if ended else None, said


def last_line(said: str) -> str:
    """Return the last line of what kubectl said, for a terminal."""
    return plain((said or "no reason").splitlines()[-1])


def cut(what: str, words: str) -> Transient:
    """Return what to say about a connection that ended while something was done."""
    return Transient(
        f"the connection to the cluster was cut while {what} ({words}). "
        "Run the same command again: it continues where it stopped."
    )
