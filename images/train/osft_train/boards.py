"""TensorBoard event files: one point of every figure for each step, written during training.

Every start writes its own file, which begins with the steps of earlier starts and makes readers leave
out what older files say (a session start at step 0). So a step that was trained twice, or was not yet written
when a pod was killed, is there once.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from osft_train import metrics
from osft_workspace import Run, UserError
from osft_workspace.files import check_inside

FOLDER = "tensorboard"
"""In the stage's folder, where no other is given."""
OURS = ("runs", "cache")
"""Folders of the workspace whose every file a record names."""


def place(root: Path, given: str, run_id: str) -> Path | None:
    """Return the folder that the user chose for this run's event files, or None for the stage's own.

    Args:
        root: the workspace.
        given: a folder in it, relative to the workspace or absolute; empty for none.

    Raises:
        UserError: it is outside the workspace, or in a folder that belongs to the pipeline.
    """
    if not given:
        return None
    folder = Path(os.path.normpath(root / given))
    inside = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    if not inside or inside[0] in OURS:
        raise UserError(
            f"--tensorboard-log-dir (train.tracking.tensorboardLogDir) is {given!r}, expected a folder "
            f"inside the workspace {root} other than runs/ and cache/, such as boards. Leave it empty to "
            "keep the event files in the run's own folder."
        )
    check_inside(root, folder / run_id)
    return folder / run_id


class Board:
    """The event file of one start.

    Args:
        steps: lines of earlier starts that this one resumes after.
    """

    def __init__(self, run: Run, folder: Path, steps: Iterable[Mapping[str, Any]] = ()) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.run = run
        self.broken = False
        folder.mkdir(parents=True, exist_ok=True)
        # Two starts in one second must not write to one file.
        self.file = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        start = SessionLog(status=SessionLog.START)
        self.file.write_event(Event(wall_time=time.time(), step=0, session_log=start))
        for line in steps:
            self.add(line)

    def add(self, line: Mapping[str, Any]) -> None:
        """Write the figures of one step. A disk that does not take them does not end the training."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if self.broken:
            return
        figures = metrics.clean(line)
        step = int(figures.pop("step"))
        values = [Summary.Value(tag=f"train/{name}", simple_value=value) for name, value in figures.items()]
        try:
            self.file.write_event(Event(wall_time=when(line), step=step, summary=Summary(value=values)))
            self.file.flush()
        except OSError as error:
            self.broken = True
            self.run.event("TensorBoard files are no longer written; training continues", seen=str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self.file.close()


def when(line: Mapping[str, Any]) -> float:
    """Return the time of a step, in seconds since 1970."""
    with suppress(KeyError, ValueError, TypeError):
        return datetime.fromisoformat(line["timestamp"]).timestamp()
    return time.time()


@contextmanager
def opened(
    run: Run, folder: Path | None, checkpoints: Path, done: int
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give what writes one step to the event file of this start, which resumes after step `done`.

    Args:
        folder: where event files lie; None on other nodes than the first, which write none.
        checkpoints: where the steps of earlier starts are logged.
    """
    if folder is None:
        yield lambda _: None
        return
    before = [line for line in metrics.read_steps(checkpoints, 0) if line["step"] <= done]
    with Board(run, folder, before) as board:
        yield board.add


def complete(run: Run, folder: Path, steps: Iterable[Mapping[str, Any]]) -> None:
    """Write all steps where the start that trained them left no event file."""
    if not any(folder.glob("events.out.tfevents.*")):
        with Board(run, folder, steps):
            pass
