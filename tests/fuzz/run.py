"""`make fuzz`: look for inputs that break a target's promise; the smallest one found becomes a seed.

python -m tests.fuzz.run [--minutes 10] [target ...]
"""

import argparse
import hashlib
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS, Target, covering

AT_ONCE = 200  # inputs between two looks at the clock


def main() -> int:
    """Run the targets one after another; 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="time for each target (MINUTES=10)")
    parser.add_argument("targets", nargs="*", metavar="target", help=f"{', '.join(TARGETS)}; all by default")
    words = parser.parse_args()
    unknown = set(words.targets) - set(TARGETS)
    if unknown:
        parser.error(f"seen {', '.join(sorted(unknown))}, expected {', '.join(TARGETS)}.")
    found = [name for name in words.targets or TARGETS if fuzz(name, TARGETS[name], 60 * words.minutes)]
    return 1 if found else 0


def fuzz(name: str, target: Target, seconds: float) -> bool:
    """Try inputs for some time; returns whether one of them failed, which then is a seed."""
    began, tried, reached = time.monotonic(), 0, 0
    failing: list[bytes] = []
    reaching: list[bytes] = []  # inputs that reached new lines: the next ones are made of them too
    covered = covering(target)

    def attempt(data: bytes) -> None:
        nonlocal tried, reached
        tried += 1
        try:
            target.hold(data)
        except BaseException:
            failing[:] = [data]  # hypothesis ends with the smallest
            raise
        if covered()[0] > reached:
            reached = covered()[0]
            reaching.append(data)

    while time.monotonic() - began < seconds:
        try:
            batch(attempt, target.inputs(name, tuple(reaching)))
        except BaseException:
            traceback.print_exc()
            path = keep(name, failing[0])
            print(f"{name}: FAILED after {tried:,} inputs with {failing[0]!r}. It is kept as {path}.")
            return True
    print(
        f"{name}: {tried:,} inputs in {time.monotonic() - began:.0f} s, nothing found; {reached:,} of "
        f"{covered()[1]:,} lines reached",
        flush=True,
    )
    return False


def batch(attempt: Callable[[bytes], None], inputs: st.SearchStrategy[bytes]) -> None:
    """Try some inputs; where one fails, smaller ones."""
    held = settings(
        max_examples=AT_ONCE, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    held(given(inputs)(attempt))()


def keep(name: str, data: bytes) -> Path:
    """Write a seed."""
    path = SEEDS / name / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    sys.exit(main())
