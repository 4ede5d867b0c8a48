"""How a run is shown: one screen that is drawn again, or one line for each change."""

from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from osft_pipeline.follow.lines import parse
from osft_pipeline.follow.model import Progress, Run, Stage, iso
from osft_pipeline.follow.screen import ending, frame
from osft_pipeline.terminal import plain

PROGRESS_SECONDS = 30.0
PROGRESS_SHARE = 0.05
LINES_WIDTH = 110
ENDS = ("done", "already done", "refused", "skipped")
"""The last words of a stage, which the end of its pod repeats."""


class Display(Protocol):
    """What the follower shows a run on."""

    def show(self, run: Run) -> None:
        """Show the state of the run."""

    def say(self, text: str) -> None:
        """Show a note about the follower itself, such as that the cluster does not answer."""

    def end(self, run: Run | None) -> None:
        """Show the last state; nothing follows."""


class Screen:
    """One screen on a terminal, drawn over itself; the last state is printed below what was there before."""

    def __init__(self, stream: TextIO) -> None:
        self.console = Console(file=stream)
        self.live = Live(console=self.console, screen=True, auto_refresh=False, redirect_stderr=False)
        self.run: Run | None = None
        self.live.start()

    def show(self, run: Run) -> None:
        self.run = run
        self.draw("")

    def say(self, text: str) -> None:
        self.draw(plain(text))

    def draw(self, note: str) -> None:
        """Draw the newest state, with a note at the top where one is given."""
        state = [frame(self.run, datetime.now(UTC))] if self.run else []
        self.live.update(Group(*([Text(note)] if note else []), *state), refresh=True)

    def end(self, run: Run | None) -> None:
        """Leave the screen and print the whole of it, however long."""
        self.live.stop()
        if run:
            self.console.print(frame(run, datetime.now(UTC)), crop=False)


class Lines:
    """One line for each change, as the stages themselves log: time, stage, what happened, key=value."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.run = ""
        self.seen: dict[str, tuple[Any, ...]] = {}
        self.notes: set[str] = set()
        self.last_said = ""
        self.told: dict[str, tuple[datetime, Progress]] = {}

    def show(self, run: Run) -> None:
        if run.id != self.run:
            self.run = run.id
            self.seen, self.told = {}, {}
            stages = ",".join(stage.name for stage in run.stages if stage.name != "preflight")
            self.line(run.id, "follow", stages=stages, ordering=run.ordering, namespace=run.namespace)
        self.last_said = ""
        for stage in run.stages:
            self.show_stage(stage)
        for note in run.notes:
            if note not in self.notes:
                self.notes.add(note)
                self.line(run.id, f"note: {note}")

    def show_stage(self, stage: Stage) -> None:
        """Write a line for a stage whose state changed."""
        pod = stage.pod if stage.state != "done" else None
        now = (stage.state, stage.attempt, stage.reason, pod and pod.name)
        begun = stage.state not in ("waiting", "not started") or stage.name in self.seen
        if begun and now != self.seen.get(stage.name):
            self.seen[stage.name] = now
            seconds = stage.seconds(datetime.now(UTC)) if stage.finished else None
            again = f"{stage.attempt}/{max(stage.attempts, stage.attempt)}" if stage.attempt > 1 else None
            self.line(
                stage.name,
                "already done" if stage.already_done else stage.state,
                attempt=again,
                pod=pod and pod.name,
                node=pod.node if pod and stage.state == "running" else None,
                seconds=round(seconds) if seconds is not None else None,
                code=stage.exit_code or None,
                reason=stage.reason if stage.state != "done" else None,
                message=stage.message.partition("\n")[0],
            )
        told = stage.progress if stage.state == "running" else None
        if told and told.what not in ENDS and self.is_new(stage.name, told):
            self.relay(stage)

    def is_new(self, name: str, progress: Progress) -> bool:
        """Return whether progress is new: 5 % more, another activity, or 30 s since the last line."""
        now = datetime.now(UTC)
        before = self.told.get(name)
        if before is not None:
            said, old = before
            step = (progress.share or 0) - (old.share or 0)
            same = progress.what == old.what and abs(step) < PROGRESS_SHARE
            if progress == old or (same and (now - said).total_seconds() < PROGRESS_SECONDS):
                return False
        self.told[name] = now, progress
        return True

    def relay(self, stage: Stage) -> None:
        """Write the stage's own line."""
        own = next((line for line in reversed(stage.log) if parse(line) == stage.progress), "")
        self.stream.write(f"{plain(own).rstrip()}\n")
        self.stream.flush()

    def line(self, who: str, what: str, **fields: Any) -> None:
        """Write one event line."""
        pairs = "".join(f" {key}={quoted(value)}" for key, value in fields.items() if value not in (None, ""))
        self.stream.write(f"{iso(datetime.now(UTC))} {plain(who)} {plain(what)}{pairs}\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        if text != self.last_said:
            self.last_said = text
            self.line(self.run or "follow", text)

    def end(self, run: Run | None) -> None:
        """Write the result, and for a failed run what the screen would show."""
        if run is None or not run.ended:
            return
        self.line(run.id, run.state, code=run.exit_code, seconds=round(run.seconds(datetime.now(UTC))))
        Console(file=self.stream, width=LINES_WIDTH).print(Group(*ending(run)), crop=False)
        self.stream.flush()


def quoted(value: Any) -> str:
    """Return a value as the stages write it in their logs."""
    text = plain(value)
    if text and not any(char in ' "=' for char in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
