"""The figures of an evaluation in the experiment trackers, under the run that the training made there.

They are sent once the record is published, so nothing that a tracker does or does not do changes the result.
"""

import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osft_eval import chain, figures
from osft_eval.options import Options
from osft_workspace import Run, UserError
from osft_workspace.contents import TrackedRun
from osft_workspace.exits import StageError

SECONDS = 60.0
"""Longest time that the stage waits for one tracker."""
FILES = ("report.html", "results.json")
TITLES = {"mlflow": "MLflow", "wandb": "Weights & Biases"}
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
LONGEST_NAME = 200
"""Characters of a figure's name; MLflow takes 250."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a tracker gets."""

    run: TrackedRun
    """Of the training."""
    figures: dict[str, float]
    tags: dict[str, str]
    step: int
    """Last one of the training, at which the figures are shown."""
    files: tuple[Path, ...]


def send(run: Run, options: Options, results: Mapping[str, Any]) -> None:
    """Send the figures to each tracker that is asked for; log what was sent, or why nothing was."""
    from osft_eval.trackers import mlflow, wandb

    senders: dict[str, tuple[str, Callable[[Sent], dict[str, Any]]]] = {
        "mlflow": (options.mlflow_tracking_uri, lambda sent: mlflow.send(options.mlflow_tracking_uri, sent)),
        "wandb": (options.wandb_project, wandb.send),
    }
    for name, (asked, sender) in senders.items():
        if not asked:
            continue
        try:
            said = bounded(sender, sent_to(name, run, results))
        except StageError as error:
            run.event(f"figures are not in {TITLES[name]}", seen=error.message)
        else:
            run.event(f"figures sent to {TITLES[name]}", **said)


def sent_to(name: str, run: Run, results: Mapping[str, Any]) -> Sent:
    """Return what a tracker gets. Raises UserError where the training has no run there."""
    train = run.predecessors["train"]
    known = train.details.get("trackers", {}).get(name, {})
    if not known.get("run_id"):
        raise UserError(
            f"the record of train names no run in {TITLES[name]}, because the training sent nothing there. "
            f"Set train.tracking.{name} before the training to have its steps and these figures in one run."
        )
    return Sent(
        run=known,
        figures=figures_of(results),
        tags={"osft.run_id": run.run_id, "osft.gates": gates_of(results)},
        step=int(train.metrics.get("steps", 0)),
        files=tuple(run.home / file for file in FILES),
    )


def figures_of(results: Mapping[str, Any]) -> dict[str, float]:
    """Return every figure of the results under a name that each tracker takes, all in one group."""
    found = figures.flat(results) | chain.flat(results)
    if results["mix"]:
        found["mix_share"] = results["mix"]["share"]
    if gates_of(results) != "open":
        found["gates_passed"] = float(results["gates"]["passed"])
    return {
        f"eval/{UNSAFE.sub('_', name)[:LONGEST_NAME]}": float(value)
        for name, value in found.items()
        if math.isfinite(value)
    }


def gates_of(results: Mapping[str, Any]) -> str:
    """Return the state of the gates: open, passed, failed, allowed (passed despite a drop beyond chance)."""
    return str(results["summary"]["gates"]["state"])


def bounded(sender: Callable[[Sent], dict[str, Any]], sent: Sent) -> dict[str, Any]:
    """Return what a sender says, or give it up after `SECONDS`.

    In a thread, because nothing else ends a name lookup that hangs; it ends with the process.

    Raises:
        StageError: nothing was sent, or it is not known to have been.
    """
    said: dict[str, Any] = {}

    def work() -> None:
        try:
            said["done"] = sender(sent)
        except StageError as error:
            said["failed"] = error
        except Exception as error:  # a tracker's answer ends no evaluation
            said["failed"] = StageError(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if not said:
        raise StageError(
            f"the server did not take all within {SECONDS:.0f} s. Check that it can be reached from this "
            "pod; the report and results.json are in the workspace."
        )
    if "failed" in said:
        raise said["failed"]
    return dict(said["done"])
