"""The working folder of training: kept after kills, used only for the same inputs."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from osft_train import adapters, states
from osft_workspace import Run, write_atomic
from osft_workspace.contents import TrackedRun
from osft_workspace.files import read_regular

LARGEST_NOTE = 1 << 20  # bytes


class Saved(NamedTuple):
    """What training saves, one folder for each."""

    folder: str
    """Where they lie."""
    mark: str
    """The file of each that is written last."""


MODELS = Saved("hf_format", "config.json")
ADAPTERS = Saved(adapters.FOLDER, adapters.CONFIG)


@dataclass(frozen=True, slots=True)
class Work:
    """`checkpoints/` of the stage: full states, saved models, tokenised rows, the raw log."""

    dir: Path
    digest: str
    """Of everything that decides the result."""
    saved: Saved = MODELS
    """What becomes the result."""

    @property
    def owner(self) -> Path:
        """Says which inputs the folder belongs to; other nodes wait for it."""
        return self.dir / "inputs.json"

    @property
    def finished(self) -> Path:
        """Says that training ended well and only publishing is left."""
        return self.dir / "trained.json"

    def is_ours(self) -> bool:
        """Whether the folder belongs to these inputs. Raises UserError where its note is not a file."""
        try:
            said = json.loads(read_regular(self.owner, "the note of what training belongs to", LARGEST_NOTE))
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
            return False
        return isinstance(said, dict) and said.get("digest") == self.digest

    def newest_state(self) -> int | None:
        """Step of the newest full state, if there is one."""
        return next(iter(states.steps(self.dir)), None)

    def give_up(self, run: Run, step: int, because: str) -> None:
        """Remove a full state that training cannot resume from, and log why."""
        run.event("full state cannot be used, removing it", step=step, because=because)
        shutil.rmtree(self.dir / states.FOLDER / f"step_{step}")

    def sound_state(self, run: Run) -> int | None:
        """Step of the newest full state that is whole and of this training; those that are not go."""
        for step in states.steps(self.dir):
            because = states.damage(self.dir / states.FOLDER / f"step_{step}", self.digest)
            if because is None:
                return step
            self.give_up(run, step, because)
        return None

    def open(self, run: Run, *, resume: bool) -> int:
        """Prepare the folder and return the step from which training resumes."""
        if not self.is_ours() and self.dir.exists():
            run.event("earlier checkpoints belong to other inputs: removed")
            shutil.rmtree(self.dir)
        self.dir.mkdir(exist_ok=True)
        step = self.sound_state(run) if resume else None
        if step is None and not self.finished.exists():
            # Nothing to go on from: what an earlier start saved or logged must not be taken for this one's.
            for name in (MODELS.folder, ADAPTERS.folder, states.FOLDER):
                shutil.rmtree(self.dir / name, ignore_errors=True)
            for path in self.dir.glob("training_metrics_*.jsonl"):
                path.unlink()
        if step is not None:
            run.choice("resume", step, "an earlier start left its full state")
        return step or 0

    def offer(self) -> None:
        """Say that rows and folder are ready."""
        write_atomic(self.owner, json.dumps({"digest": self.digest}))

    def finish(self, steps: int, trackers: Mapping[str, Mapping[str, str]]) -> None:
        """Say that training ended well, and in which runs of trackers its steps are."""
        write_atomic(self.finished, json.dumps({"steps": steps, "trackers": trackers}))

    def trackers(self) -> dict[str, TrackedRun]:
        """Return tracker -> the run there that has the steps of the start that ended well."""
        said = json.loads(read_regular(self.finished, "the note that training ended", LARGEST_NOTE))
        return dict(said.get("trackers", {}))

    def clear(self, published: Path) -> None:
        """Remove everything but the models of epochs not published; the folder too when there are none."""
        shutil.rmtree(published)
        for path in self.dir.iterdir():
            if path.name == self.saved.folder and any(path.iterdir()):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not any(self.dir.iterdir()):
            self.dir.rmdir()
