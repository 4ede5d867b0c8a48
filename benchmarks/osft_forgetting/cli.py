"""The command: train what is left, or write the tables."""

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from osft_forgetting import grid, results, stages
from osft_forgetting.data import CACHE, ROOT, folder_of

RESULTS = ROOT / "benchmarks" / "results" / "forgetting.jsonl"
DOCUMENT = ROOT / "docs" / "forgetting.md"
MODEL = ROOT / ".cache" / "demo" / "claim" / "model"
ABOUT = """\
What methods, learning rates and the mix learn and forget: SmolLM2-135M on 480 rows of two kinds, 5 seeds.

    benchmarks/forgetting run [--hours 1] [--seeds 1,2] [--methods osft,sft] [--data python] [--list]
    .venvs/dev/bin/python benchmarks/forgetting table

`run` adds a line to benchmarks/results/forgetting.jsonl for each training, and goes on where an earlier one
stopped; everything takes about 10 hours on two CPU cores. The model is the demo's (`make demo` brings it).
`table` writes the tables and pictures of docs/forgetting.md from these lines.
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks/forgetting", description=ABOUT, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train and evaluate what has no line yet")
    run.add_argument("--hours", type=float, help="begin no training after so many hours")
    run.add_argument("--data", default=",".join(grid.DATA), help="kinds of rows")
    run.add_argument("--methods", default=",".join(grid.METHODS))
    run.add_argument("--seeds", default=",".join(map(str, grid.SEEDS)))
    run.add_argument("--rows", type=int, default=480, help="rows that are trained on")
    run.add_argument("--epochs", type=int, default=2)
    run.add_argument("--model", type=Path, default=MODEL)
    run.add_argument("--results", type=Path, default=RESULTS)
    run.add_argument("--list", action="store_true", help="only show what is left")
    table = commands.add_parser("table", help="write docs/forgetting.md from the results")
    table.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    given = arguments()
    if given.command == "table":
        from osft_forgetting import page  # with scipy and matplotlib, which measuring does not need

        page.write(DOCUMENT, DOCUMENT.parent, results.read(given.results))
        return
    kinds, methods, seeds = (given.data.split(","), given.methods.split(","), given.seeds.split(","))
    wanted = [
        replace(training, rows=given.rows, epochs=given.epochs)
        for training in grid.trainings(tuple(kinds), tuple(methods), tuple(map(int, seeds)))
    ]
    left = results.left(given.results, wanted)
    print(f"{len(wanted) - len(left)} of {len(wanted)} trainings are done.", flush=True)
    if given.list:
        print("\n".join(training.name for training in left))
        return
    run(left, given)


def run(left: list[grid.Training], given: argparse.Namespace) -> None:
    """Train one after the other, in one workspace: base model, factors and the base's scores are shared."""
    workspace = CACHE / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    given.results.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for training in left:
        if given.hours and time.monotonic() - began > 3600 * given.hours:
            print("The time is up; the same command goes on.")
            return
        folder_of(training.data)
        line = stages.measure(training, given.model, workspace)
        results.add(given.results, line)
        shutil.rmtree(workspace / "runs" / training.name)
        print(f"{training.name}: {line['seconds']} s, {shown(line)}", flush=True)


def shown(line: results.Line) -> str:
    """Return what one training learned and kept, in a few words."""
    parts = []
    for which in ("tuned", "mix"):
        (was, now), (before, after) = line[which]["loss"], line[which]["kept"]
        parts.append(f"{which} {was:.3f} to {now:.3f}, {100 * (after - before):+.1f} points")
    return "; ".join(parts)
