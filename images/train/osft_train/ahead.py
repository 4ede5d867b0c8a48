"""What lies ahead of a training: its rows, its steps, and what is measured meanwhile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from osft_plan.model import Model
from osft_train import estimate, heldout
from osft_train.data import Rows
from osft_train.devices import Device
from osft_train.options import Options
from osft_workspace import Run


@dataclass(frozen=True, slots=True)
class Ahead:
    """Equal on all nodes."""

    rows: Rows
    plan: estimate.Plan
    held_out: heldout.HeldOut | None

    @classmethod
    def of(cls, run: Run, model: Model, device: Device, options: Options, rows: Rows, target: Path) -> Self:
        """Plan the training of rows, and say the plan.

        Args:
            target: where the held-out rows to measure are written.
        """
        plan = estimate.plan(run, model, device, rows, options)
        return cls(rows, plan, heldout.choose(run, options, plan, rows, target))

    def arguments(self, options: Options) -> dict[str, Any]:
        """Return the backend's arguments that follow from it, but for the rows."""
        measured = self.held_out.arguments() if self.held_out else {}
        return {**estimate.limits(self.plan, options), **measured}
