"""The held-out loss of each task after each task of a chain, put together from the runs' own results.

Row i is the model after task i, and row 0 the first base model; column j is task j, from 1. A run measures
two rows: its base model is the model after the task before, its tuned model the one after its own task.
Backward transfer is that of GEM (Lopez-Paz and Ranzato, 2017), as in TRACE, with the sign turned for a loss.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from osft_workspace import Run, UserError
from osft_workspace.contents import RESULTS_SCHEMA
from osft_workspace.links import Link
from osft_workspace.predecessors import open_record
from osft_workspace.shapes import is_number

Cells = dict[tuple[int, int], float]


@dataclass(slots=True)
class Matrix:
    """Losses in nats per token, by row and column."""

    runs: list[str]
    """Of all tasks, this run's last."""
    cells: Cells = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, links: Sequence[Link]) -> Self:
        """Return what the earlier runs measured, as far as their results are there."""
        found = cls([*(link["run"] for link in links), run.run_id])
        for number, link in enumerate(links, 1):
            results = results_of(run, link)
            if results is None:
                run.event(
                    "left out", part=f"results of {link['run']}", reason="they are gone or of another run"
                )
                continue
            found.take(number, results)
        return found

    def take(self, number: int, results: Mapping[str, Any]) -> None:
        """Add what the run of a task says: its copy of the matrix, then its own rows."""
        chain = results.get("chain") or {}
        # Of another chain where that run was made again after it was continued.
        for row, values in enumerate(chain["matrix"] if chain.get("runs") == self.runs[:number] else ()):
            for column, value in enumerate(values, 1):
                if is_number(value):
                    self.cells[(row, column)] = float(value)
        self.own(number, results.get("holdout"))

    def own(self, number: int, holdout: Mapping[str, Any] | None) -> None:
        """Add what the run of a task measured on its own rows."""
        loss = (holdout or {}).get("loss") or {}
        for row, which in ((number - 1, "base"), (number, "tuned")):
            if is_number(loss.get(which)):
                self.cells.setdefault((row, number), float(loss[which]))

    def add(
        self,
        tasks: Sequence[Mapping[str, Any]],
        own: Mapping[str, Any] | None,
        first: Mapping[str, float | None],
    ) -> None:
        """Add what this run measured; on the rows of earlier tasks it wins.

        An earlier run may have measured its own rows on a half, which a mix leaves to judge it; the same rows
        are measured by all runs after it, so that a column is about the same rows.
        """
        last = len(self.runs)
        for task in tasks:
            if "loss" in task:
                self.cells[(last - 1, task["number"])] = task["loss"]["base"]
                self.cells[(last, task["number"])] = task["loss"]["tuned"]
            if (value := first.get(task["run"])) is not None:
                self.cells[(0, task["number"])] = value
        self.own(last, own)

    def figures(self) -> dict[str, Any]:
        """Return `runs`, `matrix`, `average_loss` and `backward_transfer` of results.json."""
        last = len(self.runs)
        rows = [[self.cells.get((row, column)) for column in range(1, last + 1)] for row in range(last + 1)]
        known = [(self.cells.get((j, j)), self.cells.get((last, j))) for j in range(1, last)]
        moved = [learned - now for learned, now in known if learned is not None and now is not None]
        ends = [value for value in rows[last] if value is not None]
        return {
            "runs": self.runs,
            "matrix": rows,
            "average_loss": math.fsum(ends) / len(ends) if len(ends) == last else None,
            "backward_transfer": math.fsum(moved) / len(moved) if len(moved) == last - 1 else None,
        }


def results_of(run: Run, link: Link) -> dict[str, Any] | None:
    """Return the results of an earlier run if they are whole and about the model that the chain names."""
    try:
        record = open_record(run.workspace, link["run"], "eval")
        if record is None or record.details["model"]["digest"] != link["model"]["digest"]:
            return None
        if record.damage(run.workspace.root):
            return None
        found = json.loads(record.path("results.json").read_bytes())
    except (UserError, OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == RESULTS_SCHEMA else None
