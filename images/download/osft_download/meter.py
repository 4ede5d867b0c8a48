"""Progress in megabytes, for whatever moves bytes."""

from typing import Any

from osft_workspace import Run

MEGABYTE = 1_000_000


class Meter:
    """Counts bytes and reports them as a piece of the run's work."""

    def __init__(self, run: Run, what: str, total_bytes: int | None) -> None:
        self.done = 0
        self.run, self.what = run, what
        self.expect(total_bytes)

    def expect(self, total_bytes: int | None) -> None:
        """Begin with a total that is known only now."""
        self.total = round(total_bytes / MEGABYTE, 1) if total_bytes else None
        self.progress = self.run.progress(self.what, total=self.total, unit="MB")

    def add(self, count: int) -> None:
        """Count `count` more bytes."""
        self.at(self.done + count)

    def at(self, done: int) -> None:
        """Say that `done` bytes are through."""
        self.done = done
        megabytes = round(done / MEGABYTE, 1)
        self.progress.update(min(megabytes, self.total) if self.total else megabytes)


def counting(meter: Meter) -> Any:
    """Return a progress class for the hub's client that counts into our meter and draws nothing."""
    from tqdm import tqdm

    class Counting(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            meter.add(int(n or 0))

    return Counting
