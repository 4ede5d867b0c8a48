"""Progress from the growing log of the worker, to the terminal and to the TrainJob's status."""

import json
import math
import os
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from osft_workspace import Run
from osft_workspace.log import Progress

LOOK_SECONDS = 0.5
STILL_SECONDS = 30.0
POST_SECONDS = 5.0
"""Kubeflow Trainer asks for no more than one status in this time."""


class JobStatus:
    """Puts progress into the TrainJob's status where Kubeflow Trainer offers that; never fatal."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.url = os.environ.get("KUBEFLOW_TRAINER_SERVER_URL", "")
        self.ca = os.environ.get("KUBEFLOW_TRAINER_SERVER_CA_CERT", "")
        self.token = os.environ.get("KUBEFLOW_TRAINER_SERVER_TOKEN", "")
        self.posted = -math.inf
        self.failed = False

    def post(
        self, percent: float, left: float | None, metrics: dict[str, Any], *, last: bool = False
    ) -> None:
        """Send one status, unless the last one is younger than 5 s."""
        due = last or time.monotonic() - self.posted >= POST_SECONDS
        if not (self.url and self.ca and self.token and due):
            return
        self.posted = time.monotonic()
        status = {
            "progressPercentage": min(round(percent), 100),
            "metrics": [{"name": name, "value": f"{value:.6g}"} for name, value in metrics.items()],
            "lastUpdatedTime": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if left is not None:
            status["estimatedRemainingSeconds"] = round(left)
        try:
            self.send({"trainerStatus": status})
        except (OSError, ValueError) as error:
            if not self.failed:
                self.run.event("TrainJob status not updated; training continues", seen=str(error))
            self.failed = True

    def send(self, body: dict[str, Any]) -> None:
        """POST it; the token rotates, so it is read each time."""
        request = urllib.request.Request(
            self.url,
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {Path(self.token).read_text().strip()}",
                "Content-Type": "application/json",
            },
            method="POST",
        )
        context = ssl.create_default_context(cafile=self.ca) if self.url.startswith("https") else None
        with urllib.request.urlopen(request, timeout=POST_SECONDS, context=context) as answer:
            answer.read()


class Tail:
    """Whole new lines of a file that grows, or does not exist yet."""

    def __init__(self, path: Path, *, skip: bool) -> None:
        self.path = path
        self.at = path.stat().st_size if skip and path.is_file() else 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.at += len(line)
                yield json.loads(line)


class Watch:
    """Follows the worker in a thread while the call to the backend blocks.

    Args:
        total: optimizer steps of the whole run, or None if unknown.
        done: steps that an earlier start trained.
        each: called with every step's line.
        lost: called with the step whose loss is not a number.
        doing: what the worker logged last, repeated every 30 s while no step ends.
        stop_file: by which the backend asks the worker to save its state and stop.
        too_early: called when it is asked to before it has anything to save.
    """

    def __init__(
        self,
        run: Run,
        log: Path,
        *,
        total: int | None,
        done: int,
        report: bool,
        each: Callable[[dict[str, Any]], None],
        lost: Callable[[int], None],
        stop_file: Path,
        doing: Callable[[], str],
        too_early: Callable[[], None],
    ) -> None:
        self.tail = Tail(log, skip=True)
        self.status = JobStatus(run) if report else None
        self.bar: Progress = run.progress("training", total=total, unit="step")
        self.bar.start_at(done)
        self.each, self.lost = each, lost
        self.stop_file, self.too_early = stop_file, too_early
        self.run, self.doing = run, doing
        self.seen = self.began = time.monotonic()
        self.last: dict[str, Any] = {}
        self.held_out: float | None = None
        """Loss of held-out rows when it was measured last in this start..."""
        self.lowest = math.inf
        """...and the lowest one."""
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.follow, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self.bar.__enter__()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.ended.set()
        self.thread.join()
        self.look()
        self.bar.__exit__(kind, error, tb)
        if kind is None and self.last and self.status and self.bar.total == self.last["step"]:
            self.status.post(100, 0, self.metrics(), last=True)

    def follow(self) -> None:
        """Look for new lines until the worker has ended."""
        while not self.ended.wait(LOOK_SECONDS):
            self.look()
            if not self.last and self.stop_file.exists():
                self.too_early()
            self.say_still()

    def say_still(self) -> None:
        """A sign of life while no step ends: decomposing a large model takes many minutes."""
        now = time.monotonic()
        if now - self.seen >= STILL_SECONDS:
            self.seen = now
            self.run.event("still running", last=self.doing(), seconds=round(now - self.began))

    def look(self) -> None:
        """Report the new lines."""
        for line in self.tail:
            self.seen = time.monotonic()
            if not self.last:  # the time left is that of steps, without the start of the worker
                self.bar.started = time.monotonic() - line["time_per_batch"]
            self.last = line
            self.each(line)
            if not math.isfinite(line["loss"]):
                self.lost(line["step"])
                continue
            if (held_out := line.get("val_loss")) is not None:
                self.say_held_out(line["step"], held_out)
            self.bar.update(
                line["step"],
                loss=f"{line['loss']:.3f}",
                learning_rate=f"{line['lr']:.2e}",
                tokens_per_s=round(line["tokens_per_second"]),
                held_out_loss=None if self.held_out is None else f"{self.held_out:.3f}",
            )
            if self.status:
                percent = 100 * line["step"] / self.bar.total if self.bar.total else 0
                self.status.post(min(percent, 99), self.bar.time_left(time.monotonic()), self.metrics())

    def say_held_out(self, step: int, loss: float) -> None:
        """Say the loss of the held-out rows, and whether it has been lower."""
        lowest = loss < self.lowest
        self.held_out, self.lowest = loss, min(loss, self.lowest)
        since = None if lowest else f"{self.lowest:.3f}"
        self.run.event("held-out loss", step=step, loss=f"{loss:.3f}", has_been=since)

    def metrics(self) -> dict[str, float]:
        """Figures of the newest step for the status."""
        names = ("step", "epoch", "loss", "lr", "tokens_per_second", "val_loss")
        return {name: self.last[name] for name in names if self.last.get(name) is not None}
