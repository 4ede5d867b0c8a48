"""The workspace of this machine, and the name of this program in commands it shows."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from osft_pipeline.chart import checkout


def default_workspace() -> Path:
    """Return the workspace if none is given: the checkout's, or one in the user's data folder."""
    own = checkout()
    if own is not None:
        return own / ".cache" / "workspace"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "osft" / "workspace"


def workspace_option(command: Any) -> Any:
    """Give a command --workspace."""
    return click.option(
        "--workspace",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="OSFT_LOCAL_WORKSPACE",
        default=default_workspace,
        show_default="the checkout's .cache/workspace, otherwise ~/.local/share/osft/workspace",
        show_envvar=True,
        help="Folder that holds the runs of this machine.",
    )(command)


def called() -> str:
    """Return how to call this program in a shell here: `osft`, or its path where PATH has another or none."""
    own = Path(sys.argv[0]).absolute()
    found = shutil.which("osft")
    if own.name != "osft" or (found and Path(found).resolve() == own.resolve()):
        return "osft"
    return min(str(own), os.path.relpath(own), key=len)
