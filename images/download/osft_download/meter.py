"""Progress in megabytes, for whatever moves bytes."""

from osft_workspace import Run

MEGABYTE = 1_000_000


class Meter:
    """Counts bytes and reports them as a piece of the run's work."""

    def __init__(self, run: Run, what: str, total_bytes: int | None) -> None:
        self.done = 0
        total = round(total_bytes / MEGABYTE, 1) if total_bytes else None
        self.progress = run.progress(what, total=total, unit="MB")
        self.total = total

    def add(self, count: int) -> None:
        """Count `count` more bytes."""
        self.at(self.done + count)

    def at(self, done: int) -> None:
        """Say that `done` bytes are through."""
        self.done = done
        megabytes = round(done / MEGABYTE, 1)
        self.progress.update(min(megabytes, self.total) if self.total else megabytes)
