"""The command line of `benchmarks/gpu`."""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from osft_gpu import wheels
from osft_gpu.bench import FULL, TINY, TUNED, WORKSPACE, Bench
from osft_gpu.clock import Clock
from osft_gpu.lines import Failed, Lines, Skipped
from osft_gpu.sections import SECTIONS
from osft_gpu.stages import ROOT, Stages

T = TypeVar("T")
TEXT = """Show what only a machine with a GPU can show, by the stages' own commands.

    benchmarks/gpu --prepare FOLDER                 where there is a network: collects wheels
    benchmarks/gpu --wheels FOLDER --minutes 10     on the machine, which needs Python and torch alone
    benchmarks/gpu --tiny                           on any machine, with a model of under a million parameters

Models have random weights, and rows are generated, so nothing is downloaded. Each figure is one JSON line, on
stdout and in a file as soon as it is known. Sections run in order of worth; what one does not use of its time
goes to the others. What was not measured is named with the reason. Exit 1 when something did not work.
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    options = argparse.ArgumentParser(
        description=TEXT, formatter_class=argparse.RawDescriptionHelpFormatter, prog="benchmarks/gpu"
    )
    options.add_argument("--minutes", type=float, default=10, help="time for all sections (default: 10)")
    options.add_argument("--tiny", action="store_true", help="a tiny model in place of one of 1.5B")
    options.add_argument("--gpus", type=int, help="0: the CPU (default: 1, with --tiny 0)")
    options.add_argument("--sections", help=f"some of {','.join(SECTIONS)}; the order stays")
    options.add_argument("--out", type=Path, default=ROOT / ".cache/gpu/figures.jsonl", help="file of lines")
    options.add_argument(
        "--work", type=Path, help="folder that keeps base models and the environment of wheels"
    )
    options.add_argument("--wheels", type=Path, help="make one environment for all stages from these wheels")
    options.add_argument("--prepare", type=Path, help="collect wheels in a folder, and end")
    options.add_argument("--python", default="3.12", help="Python of the machine, for --prepare")
    given = options.parse_args()
    given.gpus = (0 if given.tiny else 1) if given.gpus is None else given.gpus
    names = given.sections.split(",") if given.sections else list(SECTIONS)
    if unknown := [name for name in names if name not in SECTIONS]:
        options.error(f"--sections has {', '.join(unknown)}, expected some of {', '.join(SECTIONS)}")
    if (given.prepare or given.wheels) and not find_spec("pip"):
        options.error(f"{sys.executable} has no pip, which --prepare and --wheels need; use another Python")
    if given.wheels and not any(given.wheels.glob("*.whl")):
        options.error(f"--wheels is {given.wheels}, which holds no wheels; --prepare collects them")
    given.sections = [name for name in SECTIONS if name in names]
    return given


def guarded(work: Callable[[], T]) -> T:
    """Return what it returns; exits with a sentence where pip or venv fails."""
    try:
        return work()
    except subprocess.CalledProcessError as error:
        name = " ".join(map(str, error.cmd[1:4]))
        sys.exit(f"benchmarks/gpu: {name} ended with exit code {error.returncode}; its message is above.")


def measure(bench: Bench, names: list[str]) -> None:
    """Run the sections within the time."""
    for number, name in enumerate(names):
        left = sum(SECTIONS[each][0] for each in names[number:])
        minutes, section = SECTIONS[name]
        bench.clock.open(minutes / left)
        for of, item in section(bench):
            try:
                if bench.clock.left() < 0.5:
                    raise Skipped("no time was left")
                item()
            except Skipped as why:
                bench.lines.skipped(name, of, why)
            except Exception as error:  # one failure must not cost the figures after it
                bench.lines.failed(name, of, error if isinstance(error, Failed) else repr(error))


def main() -> None:
    """Collect wheels, or measure and print the table."""
    given = arguments()
    if given.prepare:
        print(guarded(lambda: wheels.collect(given.prepare, given.python)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("benchmarks/gpu: SIGTERM received."))
    work = given.work or Path(tempfile.mkdtemp(prefix="osft-gpu-"))
    try:
        work.mkdir(parents=True, exist_ok=True)
        for name in (WORKSPACE, TUNED):  # of an earlier run, whose caches would change the figures
            shutil.rmtree(work / name, ignore_errors=True)
        lines, clock = Lines(given.out, sys.stdout), Clock(60 * given.minutes)
        environment = work / "environment"
        folder = guarded(lambda: wheels.install(given.wheels, environment)) if given.wheels else None
        stages = Stages(folder, given.out.with_suffix(".log"), clock)
        measure(Bench(TINY if given.tiny else FULL, given.gpus, work, lines, clock, stages), given.sections)
        print(lines.table(), file=sys.stderr)
    finally:
        if not given.work:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(int(lines.failures > 0))
