"""Experiment trackers, which mini-trainer imports in every process whether they are asked for or not."""

import sys
from collections.abc import Container

MODULES = ("mlflow", "wandb")


def hide_unused(asked: Container[str]) -> None:
    """Make the trackers that nobody asked for look absent: they cost seconds and 200 MB a process."""
    for name in MODULES:
        if name not in asked:
            sys.modules[name] = None  # type: ignore[assignment]
