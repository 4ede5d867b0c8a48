"""Paths in the workspace, in one place."""

import re
from dataclasses import dataclass
from pathlib import Path

from osft_workspace.exits import UserError
from osft_workspace.files import check_inside, check_unlinked

RUN_ID = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")  # what Kubernetes takes as a claim's name
STAGES = ("download", "train", "eval", "register")


@dataclass(frozen=True, slots=True)
class Workspace:
    """One volume, shared by stages and by runs."""

    root: Path

    @property
    def models(self) -> Path:
        """Base models, one folder for each digest."""
        return self.root / "cache" / "models"

    @property
    def factors(self) -> Path:
        """Decompositions of base models, one folder for each model's digest and one file for each matrix."""
        return self.root / "cache" / "osft"

    @property
    def evals(self) -> Path:
        """Results of base models, one file for each model, task and setting."""
        return self.root / "cache" / "evals"

    @property
    def benchmarks(self) -> Path:
        """Datasets of the hub that tasks ask about, one folder for each digest."""
        return self.root / "cache" / "benchmarks"

    def run_dir(self, run_id: str) -> Path:
        """Return the folder of one run. Raises UserError for a name that could leave the workspace."""
        if not RUN_ID.fullmatch(run_id):
            raise UserError(
                f"run id {run_id!r} is not valid, expected up to 63 lower-case letters, digits, '-' or '.'."
            )
        return self.root / "runs" / run_id

    def stage_dir(self, run_id: str, stage: str) -> Path:
        """Return the folder of one stage of one run."""
        return self.run_dir(run_id) / stage

    def own_stage_dir(self, run_id: str, stage: str) -> Path:
        """As `stage_dir`; links may stand for `runs/` inside the workspace, and for nothing below.

        Raises:
            UserError: a link leads out of the workspace, or to another run.
        """
        folder = self.stage_dir(run_id, stage)
        check_inside(self.root, folder)
        check_unlinked(self.root / "runs", folder)
        return folder

    def check_cache(self) -> None:
        """Refuse a cache that links lead out of the workspace. Raises UserError."""
        for name in ("models/.staging", "tokens", "evals", "osft", "benchmarks/.staging"):
            check_inside(self.root, self.root / "cache" / name)
