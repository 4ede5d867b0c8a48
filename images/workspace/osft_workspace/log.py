"""Log lines and progress.

One event is one line: time, stage, what happened, then `key=value`. No carriage return ever reaches a log
collector; a bar is drawn only where a person watches.
"""

import os
import re
import shutil
import sys
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from osft_workspace import stopping
from osft_workspace.redact import redact_text, redact_value
from osft_workspace.text import printable, sentence

LINE_EVERY_SECONDS = 30.0
LINE_EVERY_SHARE = 0.05
LINE_AT_MOST_SECONDS = 2.0  # short work would print twenty lines otherwise
DRAW_EVERY_SECONDS = 0.1
BAR_WIDTH = 24
LONGEST_VALUE = 4000  # characters
LONGEST_NAME = 100
NOT_IN_NAMES = re.compile(r'[\s="\\]')


def format_value(value: Any) -> str:
    """One value as log text, redacted and printable; strings with spaces or quotes are quoted."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = redact_value(value) if isinstance(value, str) else redact_text(str(redact_value(value)))
    if text and text.isprintable() and not any(char in ' "=' for char in text):
        return printable(text, LONGEST_VALUE)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped, LONGEST_VALUE)}"'


def format_fields(fields: dict[str, Any]) -> str:
    """Return ` key=value` for each field that has a value; a name is one word, wherever it comes from."""
    return "".join(
        f" {NOT_IN_NAMES.sub('_', printable(redact_text(key), LONGEST_NAME))}={format_value(value)}"
        for key, value in fields.items()
        if value is not None
    )


def event(stage: str, what: str, **fields: Any) -> None:
    """Print one event line to stdout, redacted and printable.

    Raises:
        Stopped: the process was asked to end.
    """
    stopping.check()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = f"{now} {printable(stage)} {sentence(redact_text(what))}{format_fields(fields)}"
    clear_bar()
    print(line, flush=True)


def clear_bar() -> None:
    """Take a drawn bar away before a line is printed over it."""
    if Progress.drawn:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
        Progress.drawn = False


def duration(seconds: float) -> str:
    """Seconds as people say them: 45s, 3m20s, 2h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class Progress:
    """Progress of one piece of work: a bar on a terminal, whole lines every 30 s or 5 % otherwise."""

    drawn = False

    def __init__(self, stage: str, what: str, *, total: float | None, unit: str) -> None:
        self.stage, self.what, self.total, self.unit = stage, what, total, unit
        self.bar = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.done = 0.0
        self.first = self.started = time.monotonic()
        self.resumed_at = 0.0
        self.last_time, self.last_share = self.started, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        clear_bar()

    def start_at(self, done: float) -> None:
        """Record that `done` units were finished earlier, so that the time left counts only new work."""
        self.done = self.resumed_at = done

    def update(self, done: float, **fields: Any) -> None:
        """Report that `done` of `total` units are finished; `fields` are shown beside it."""
        self.done = done
        now = time.monotonic()
        share = done / self.total if self.total else 0.0
        left = self.time_left(now)
        if self.bar:
            if now - self.last_time >= DRAW_EVERY_SECONDS or share >= 1:
                self.last_time = now
                self.draw(share, left, fields)
            return
        waited = now - self.last_time
        step = self.total is not None and share - self.last_share >= LINE_EVERY_SHARE
        last = self.total is not None and done >= self.total > 0 and self.last_share < 1
        if waited >= LINE_EVERY_SECONDS or (step and waited >= LINE_AT_MOST_SECONDS) or last:
            self.last_time, self.last_share = now, share
            of = f"{done:g}/{self.total:g}" if self.total else f"{done:g}"
            event(
                self.stage,
                self.what,
                **{self.unit: of},
                **fields,
                left=duration(left) if left is not None else None,
            )

    def time_left(self, now: float) -> float | None:
        """Seconds left at the speed so far, or None while nothing can be said."""
        fresh = self.done - self.resumed_at
        if not self.total or fresh <= 0:
            return None
        return (now - self.started) / fresh * max(self.total - self.done, 0.0)

    def draw(self, share: float, left: float | None, fields: dict[str, Any]) -> None:
        """Draw the bar on stderr, cut to the terminal's width."""
        filled = round(min(share, 1.0) * BAR_WIDTH)
        of = f"{self.done:g}/{self.total:g}" if self.total else f"{self.done:g}"
        bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] " if self.total else ""
        text = f"{self.stage} {sentence(redact_text(self.what))} {bar}{of} {self.unit}{format_fields(fields)}"
        if left is not None:
            text += f" left={duration(left)}"
        width = shutil.get_terminal_size((100, 24)).columns - 1
        sys.stderr.write("\r\x1b[K" + text[:width])
        sys.stderr.flush()
        Progress.drawn = True
