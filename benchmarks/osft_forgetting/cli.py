"""The command: train what is left, or write the tables."""

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from osft_forgetting import grid, results, stages
from osft_forgetting.data import CACHE, ROOT

RESULTS = ROOT / "benchmarks" / "results"
TRAININGS, CHAINS = "forgetting.jsonl", "forgetting-chains.jsonl"
DOCUMENT = ROOT / "docs" / "forgetting.md"
MODEL = ROOT / ".cache" / "demo" / "claim" / "model"
ABOUT = """\
What methods, learning rates and the mix learn and forget: SmolLM2-135M on 480 rows of two kinds, 5 seeds.

    benchmarks/forgetting run [--hours 1] [--seeds 1,2] [--methods osft,sft] [--data python] [--list]
    benchmarks/forgetting chain [--hours 1] [--seeds 1,2] [--methods osft,sft] [--list]
    .venvs/dev/bin/python benchmarks/forgetting table

`run` adds a line to benchmarks/results/forgetting.jsonl for each training, `chain` one to
forgetting-chains.jsonl for three tasks in a row. Both go on where they stopped; everything takes about 30
hours on two CPU cores. The model is the demo's (`make demo` brings it). `table` writes the tables and
pictures of docs/forgetting.md.
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks/forgetting", description=ABOUT, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    about = {"run": "train and evaluate what has no line yet", "chain": "the same, task after task"}
    for name, does in about.items():
        measure = commands.add_parser(name, help=does)
        measure.add_argument("--hours", type=float, help="begin nothing after so many hours")
        measure.add_argument("--methods", default=",".join(grid.METHODS))
        measure.add_argument("--seeds", default=",".join(map(str, grid.SEEDS)))
        measure.add_argument("--rows", type=int, default=480, help="rows that are trained on")
        measure.add_argument("--epochs", type=int, default=2)
        measure.add_argument("--model", type=Path, default=MODEL)
        measure.add_argument("--results", type=Path, default=RESULTS, help="folder of the lines")
        measure.add_argument("--list", action="store_true", help="only show what is left")
        if name == "run":
            measure.add_argument("--data", default=",".join(grid.DATA), help="kinds of rows")
    table = commands.add_parser("table", help="write docs/forgetting.md from the results")
    table.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    given = arguments()
    if given.command == "table":
        from osft_forgetting import page  # with scipy and matplotlib, which measuring does not need

        lines, chains = (results.read(given.results / name) for name in (TRAININGS, CHAINS))
        page.write(DOCUMENT, DOCUMENT.parent, lines, chains)
        return
    wanted: list[grid.Planned] = [
        replace(one, rows=given.rows, epochs=given.epochs) for one in planned(given)
    ]
    file = given.results / (TRAININGS if given.command == "run" else CHAINS)
    left = results.left(file, wanted)
    print(f"{len(wanted) - len(left)} of {len(wanted)} are done.", flush=True)
    if given.list:
        print("\n".join(one.name for one in left))
        return
    run(left, file, given)


def planned(given: argparse.Namespace) -> list[grid.Planned]:
    """Return what the options ask for."""
    methods, seeds = tuple(given.methods.split(",")), tuple(map(int, given.seeds.split(",")))
    if given.command == "chain":
        return [*grid.chains(methods, seeds)]
    return [*grid.trainings(tuple(given.data.split(",")), methods, seeds)]


def run(left: list[grid.Planned], file: Path, given: argparse.Namespace) -> None:
    """Measure one after the other, in one workspace: base model, factors and the base's scores are shared."""
    workspace = CACHE / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    given.results.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for one in left:
        if given.hours and time.monotonic() - began > 3600 * given.hours:
            print("The time is up; the same command goes on.")
            return
        if isinstance(one, grid.Chain):
            line = stages.measure_chain(one, given.model, workspace)
            said = f"average loss {line['average_loss']:.3f}, transfer {line['backward_transfer']:+.3f}"
        else:
            line = stages.measure(one, given.model, workspace)
            said = f"{line['seconds']} s, {shown(line)}"
        results.add(file, line)
        for folder in (workspace / "runs").glob(f"{one.name}*"):
            shutil.rmtree(folder)
        print(f"{one.name}: {said}", flush=True)


def shown(line: results.Line) -> str:
    """Return what one training learned and kept, in a few words."""
    parts = []
    for which in ("tuned", "mix"):
        (was, now), (before, after) = line[which]["loss"], line[which]["kept"]
        parts.append(f"{which} {was:.3f} to {now:.3f}, {100 * (after - before):+.1f} points")
    return "; ".join(parts)
