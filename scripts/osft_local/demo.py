"""The command line of `scripts/demo`, which is what `make demo` calls.

Only the standard library is imported: every other part runs in an environment of its own.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import textwrap
import time
from pathlib import Path
from types import FrameType

from osft_local.guard import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
MINUTES = "seven"
VALUES = ROOT / "charts" / "osft-pipeline" / "examples" / "demo.yaml"

INTRO = (
    "A real language model, SmolLM2-135M-Instruct, learns by OSFT what Python's standard library says about "
    "itself. Then it is compared with its base, on rows it never saw and on tasks it must not forget, and "
    "registered{registry}.",
    "The chart's own containers run as processes of this machine: about {minutes} minutes on two cores, "
    "seconds when nothing changed. Everything lies in {folder}. Ctrl-C stops it; the same command goes on.",
)
HELP = """\
REGISTRY=ADDRESS   register there instead of in a registry that is started for the run
REGISTRY=none      leave registration out
KEEP=1             leave the registry running at the end
"""


class Caller:
    """Runs one command after another and hands signals on, so that nothing is left behind."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.signal: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.on_signal)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Ask the running command to stop; a second signal asks again, which run-local takes as insisting."""
        self.signal = number
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                self.child.terminate()

    def run(self, *command: str | Path) -> None:
        """Run a command; exits with its code when it fails or when a signal came."""
        parent = os.getpid()
        # A session of its own: the terminal's Ctrl-C reaches only us and is handed on once.
        self.child = subprocess.Popen(
            command, start_new_session=True, preexec_fn=lambda: die_with_parent(parent, signal.SIGTERM)
        )
        code = self.child.wait()
        self.child = None
        if self.signal is not None:
            raise SystemExit(128 + self.signal)
        if code != 0:
            raise SystemExit(code)


def registry_words(registry: str) -> str:
    """What the introduction says about registration."""
    if registry == "none":
        return " nowhere, as REGISTRY=none says"
    return f" at {registry}" if registry else " in a real Model Registry"


def main() -> int:
    """Run the demo; exits with the run's code."""
    parser = argparse.ArgumentParser(
        description="Tune, evaluate and register a small language model on this machine.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".cache" / "demo", help="where everything lies (.cache/demo)"
    )
    folder: Path = parser.parse_args().folder.resolve()
    registry, keep = os.environ.get("REGISTRY", ""), bool(os.environ.get("KEEP"))
    near = min(str(folder), os.path.relpath(folder), key=len)
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    for text in INTRO:
        words = text.format(registry=registry_words(registry), minutes=MINUTES, folder=near)
        print(textwrap.fill(words, width), flush=True)
    print(flush=True)
    began = time.monotonic()
    caller = Caller()
    make_inputs(caller, folder / "claim")
    run_pipeline(caller, folder, registry, keep)
    print(f"\nThe whole demo took {time.monotonic() - began:.0f} s.", flush=True)
    if not registry:
        command = f"scripts/local-registry {'stop' if keep else 'start'} --data {near}/registry"
        print(f"The registry {'still runs; stop it' if keep else 'is stopped; serve it again'}: {command}")
    return 0


def make_inputs(caller: Caller, claim: Path) -> None:
    """The base model and the rows, each made once."""
    python = ROOT / ".venvs"
    model, data = claim / "model", claim / "train.jsonl"
    if not model.exists():
        caller.run(python / "train" / "bin" / "python", SCRIPTS / "demo-model", "--output", model)
    if not data.exists():
        caller.run(python / "download" / "bin" / "python", SCRIPTS / "demo-data", "--output", claim)


def run_pipeline(caller: Caller, folder: Path, registry: str, keep: bool) -> None:
    """The chart's demo values through `scripts/run-local`, beside a registry where none is given."""
    command: list[str | Path] = [
        *(SCRIPTS / "run-local", "demo", "--values", VALUES),
        *("--claim", f"osft-demo={folder / 'claim'}", "--workspace", folder / "workspace", "--ask"),
    ]
    local: list[str | Path] = [SCRIPTS / "local-registry", "--data", folder / "registry"]
    if registry:
        caller.run(*command, "--registry", registry)
        return
    if keep:
        caller.run(*local, "start")
    # `run` hands the address to run-local in its environment, and stops only what it started.
    caller.run(*local, "run", "--", *command)
