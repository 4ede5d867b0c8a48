"""What the worker's log says, line by line."""

import json
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from osft_train.decompositions import KEPT, MADE, MARK
from osft_workspace import Run
from osft_workspace.exits import StageError

DECOMPOSED = re.compile(r"Total parameters: (\d+)")
DONE = "decomposed"
MILESTONES = {
    "Loading base model to CPU": "loading the base model",
    "Starting distributed SVD computation": "decomposing weight matrices",
    "Distributing computed SVD data": DONE,
    "Auto-detected full-state checkpoint": "resuming from the last full state",
    "saving checkpoint and exiting": "SIGTERM received: saving the full state",
    "saving full-state checkpoint and exiting": "SIGTERM received: saving the full state",
    "Reconstructing OSFT weights": "assembling the model",
}
STATE, EVENT = '{"full_state"', '{"event"'
"""Begin the lines that say that a full state was saved, and whatever else is to be logged."""
PEAK = "peak_memory"
"""Key of the line that says how much memory a process had at its peak."""
TRACKER = "tracker"
"""Key of the line that says which run of a tracker gets the steps."""
TAIL_LINES = 200


@dataclass(slots=True)
class WorkerLog:
    """The lines of one start of the worker."""

    run: Run
    matrices: int
    """Matrices that must be decomposed; 0 for training without OSFT."""
    end_with: Callable[[StageError], None]
    """Ends the worker."""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    told: set[str] = field(default_factory=set)
    doing: str = "starting the training processes"
    """What was said last."""
    counted: bool = False
    """Whether it said how many matrices are decomposed."""
    decompositions: dict[str, int] = field(default_factory=lambda: {KEPT: 0, MADE: 0})
    """Matrices of this node: read from the cache, and computed for it; none are counted without a cache."""
    peak: int = 0
    """Resident bytes of the largest process of this node at its peak; 0 before it ends, and on a GPU."""
    trackers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Tracker -> what names the run there that got the steps."""

    def counts(self) -> dict[str, int]:
        """Return how many matrices came from the cache, and how many were decomposed; nothing without one."""
        if not any(self.decompositions.values()):
            return {}
        return {"from_cache": self.decompositions[KEPT], "computed": self.decompositions[MADE]}

    def read(self, line: str) -> None:
        """Take one line, and log what a user wants to know."""
        self.tail.append(line)
        for sign, text in MILESTONES.items():
            if sign in line and text not in self.told:
                self.told.add(text)
                self.doing = text
                self.run.event(text, **(self.counts() if text == DONE else {}))
        if found := DECOMPOSED.search(line):
            self.counted = True
            self.check_count(int(found[1]))
        elif line.startswith((MARK, STATE, EVENT, f'{{"{PEAK}"', f'{{"{TRACKER}"')):
            with suppress(ValueError):  # cut off: its process was killed
                self.take(json.loads(line))

    def check_count(self, seen: int) -> None:
        """End a worker that decomposes other matrices than were counted."""
        if seen != self.matrices:
            self.end_with(
                StageError(
                    f"mini-trainer decomposed {seen} weight matrices, expected {self.matrices}: the "
                    "others would be trained without protection. Set train.targetPatterns to parts of "
                    "the names of the model's matrices."
                )
            )

    def take(self, told: dict[str, Any]) -> None:
        """Count a matrix, or log what our part of the worker says."""
        how, event = told.pop("decomposition", None), told.pop("event", None)
        if PEAK in told:
            self.peak = max(self.peak, int(told[PEAK]))
        elif TRACKER in told:
            name = told.pop(TRACKER)
            self.trackers[name] = told
            self.run.event("sending the steps to a tracker", tracker=name, **told)
        elif event is not None:
            self.run.event(event, **told)
        elif how is None:
            self.run.event("full state saved", step=told["full_state"], seconds=told["seconds"])
        elif how in self.decompositions:
            self.decompositions[how] += 1
        else:
            self.run.event(f"decomposition {how}", **told)
