"""The working folder of training: kept through kills, believed only for the same inputs."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from osft_workspace import Run, write_atomic

STATE = re.compile(r"step_(\d+)")


@dataclass(frozen=True, slots=True)
class Work:
    """`checkpoints/` of the stage: full states, saved models, tokenised rows, the raw log."""

    dir: Path
    digest: str
    """Of everything that decides the result."""

    @property
    def owner(self) -> Path:
        """Says which inputs the folder belongs to; other nodes wait for it."""
        return self.dir / "inputs.json"

    @property
    def finished(self) -> Path:
        """Says that training ended well and only publishing is left."""
        return self.dir / "trained.json"

    def is_ours(self) -> bool:
        """Whether the folder belongs to these inputs."""
        try:
            return bool(json.loads(self.owner.read_text())["digest"] == self.digest)
        except FileNotFoundError:
            return False

    def newest_state(self) -> int | None:
        """Step of the newest full state, if there is one."""
        folders = (self.dir / "full_state_checkpoints").glob("step_*/training_state.pt")
        names = [STATE.fullmatch(path.parent.name) for path in folders]
        return max((int(name[1]) for name in names if name), default=None)

    def open(self, run: Run, *, resume: bool) -> int:
        """Make the folder ready and return the step that training goes on from."""
        if not self.is_ours() and self.dir.exists():
            run.event("earlier checkpoints belong to other inputs: removed")
            shutil.rmtree(self.dir)
        self.dir.mkdir(exist_ok=True)
        step = self.newest_state() if resume else None
        if step is None and not self.finished.exists():
            # Nothing to go on from: what an earlier start saved or logged must not be taken for this one's.
            for name in ("hf_format", "full_state_checkpoints"):
                shutil.rmtree(self.dir / name, ignore_errors=True)
            for path in self.dir.glob("training_metrics_*.jsonl"):
                path.unlink()
        if step is not None:
            run.choice("resume", step, "an earlier start left its full state")
        return step or 0

    def offer(self) -> None:
        """Say that rows and folder are ready."""
        write_atomic(self.owner, json.dumps({"digest": self.digest}))

    def finish(self, steps: int) -> None:
        """Say that training ended well."""
        write_atomic(self.finished, json.dumps({"steps": steps}))

    def clear(self, published: Path) -> None:
        """Remove everything but the models of epochs not published; the folder too when there are none."""
        shutil.rmtree(published)
        for path in self.dir.iterdir():
            if path.name == "hf_format" and any(path.iterdir()):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not any(self.dir.iterdir()):
            self.dir.rmdir()
