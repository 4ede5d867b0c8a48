"""Finds the interpreter a script needs. Only what every Python understands may stand here."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120


def enter(stage: str) -> None:
    """Go on in the environment of `stage`; says how to make it where it is missing. Returns once inside."""
    home = os.path.join(ROOT, ".venvs", stage)  # noqa: PTH118
    python = os.path.join(home, "bin", "python")  # noqa: PTH118
    if os.path.realpath(sys.prefix) == os.path.realpath(home):
        return
    if not os.path.exists(python):  # noqa: PTH110
        sys.exit(f"the environment .venvs/{stage} is missing. `scripts/setup demo` makes what runs need.")
    os.execv(python, [python, *sys.argv])
