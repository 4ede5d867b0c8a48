"""What every input must keep, whatever the target: an end within seconds, and bounded memory."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS, AT_MOST = 20.0, 300.0
"""Processor time, and time on the clock: inputs take milliseconds, whatever else the machine does."""


class Slow(BaseException):
    """An input whose check does not end; smaller ones are not looked for, as each would take as long."""


@contextmanager
def within() -> Iterator[None]:
    """Raise Slow where it takes longer: regular expressions and waiting for others are interrupted."""

    def stop(*_: object) -> None:
        raise Slow(f"not ended after {SECONDS:.0f} s of processor time, or {AT_MOST:.0f} s")

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, AT_MOST))
    before = [signal.signal(number, stop) for number, *_ in timers]
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for _, timer, _ in timers:
            signal.setitimer(timer, 0)
        for (number, *_), old in zip(timers, before, strict=True):
            signal.signal(number, old)


def peak() -> int:
    """Most bytes of memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Memory:
    """Holds this process to `most` bytes more than after its first input."""

    def __init__(self, most: int) -> None:
        self.most, self.before = most, 0

    def check(self) -> None:
        """Raise AssertionError where the peak has grown by more, which the latest input then did."""
        now = peak()
        self.before = self.before or now
        grown, self.before = now - self.before, max(self.before, now - self.most)
        assert grown <= self.most, f"{grown >> 20} MiB more memory, expected at most {self.most >> 20}"
