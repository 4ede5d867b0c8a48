"""Peak memory of this process and everything it starts, as the kernel counts it."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

SAMPLE_SECONDS = 1.0
PAGE = os.sysconf("SC_PAGE_SIZE")


def tree_rss() -> int:
    """Resident bytes of this process and its descendants, shared pages counted once for each process."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue  # ended while we looked
        parents[int(entry.name)] = int(fields[1])
        resident[int(entry.name)] = int(fields[21]) * PAGE
    total, family = 0, {os.getpid()}
    for pid in sorted(parents):
        if pid in family or parents[pid] in family:
            family.add(pid)
            total += resident[pid]
    return total


class PeakMemory:
    """Watches the process tree while a stage works."""

    def __init__(self) -> None:
        self.sampled = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.stop.wait(SAMPLE_SECONDS):
            self.sampled = max(self.sampled, tree_rss())

    @property
    def bytes(self) -> int:
        """The largest sample, or this process's own peak where its work was short.

        Not `ru_maxrss`: a program inherits that of the process that started it.
        """
        status = Path("/proc/self/status").read_text()
        own = int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024
        return max(self.sampled, own)
