"""A bound of this process's own memory, so that what fills it ends with an error before the pod is killed."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def limit_memory(more: int) -> tuple[int, int]:
    """Let this process take at most `more` bytes beyond what it has; returns the limits before.

    Only memory that can be written to counts; address space that allocators reserve does not.
    """
    status = Path("/proc/self/status").read_text()
    used = int(status.split("VmData:", 1)[1].split(None, 1)[0]) * 1024
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [used + more, *(limit for limit in before if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
    return before


def allow_memory(more: int, limit: int) -> None:
    """Raise a bound of `limit` bytes by `more`, where it is not that high yet.

    It is not lowered again: an allocator may keep what was freed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = limit + more
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


@contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """As `limit_memory`, until the context is left; what does not fit raises MemoryError."""
    before = limit_memory(more)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
