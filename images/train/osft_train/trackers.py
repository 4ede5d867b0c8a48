"""Experiment trackers, which mini-trainer imports in every process whether they are asked for or not."""

import sys
from collections.abc import Container

MODULES = ("mlflow", "wandb")


def hide_unused(asked: Container[str]) -> None:
    """Hide the trackers that are not used: they take seconds and 200 MB per process."""
    for name in MODULES:
        if name not in asked:
            sys.modules[name] = None  # type: ignore[assignment]
