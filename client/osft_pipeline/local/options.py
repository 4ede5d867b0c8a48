"""The options of runs on this machine."""

from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from osft_pipeline.local import inputs
from osft_pipeline.local.engines import NAMES
from osft_pipeline.local.run import PROCESS, Local
from osft_pipeline.local.workspaces import workspace_option
from osft_pipeline.sources import is_given

LOCAL = {"engine", "workspace", "claims", "backoff_seconds", "ask"}
"""Parameters that only runs on this machine have."""


def local_options(command: Any) -> Any:
    """Give a command the options of --local; it receives `here`, the runs on this machine."""

    @click.option(
        "--engine",
        type=click.Choice([PROCESS, *NAMES]),
        envvar="OSFT_ENGINE",
        default=PROCESS,
        show_default=True,
        show_envvar=True,
        help="With --local: start processes from the checkout's environments, or containers of the images.",
    )
    @workspace_option
    @click.option(
        "--claim",
        "claims",
        multiple=True,
        metavar="NAME=DIR",
        help="With --local: folder in place of a claim (pvc://NAME/...) or of a mounted Secret of that name.",
    )
    @click.option(
        "--backoff-seconds",
        type=click.FloatRange(min=0),
        default=10.0,
        show_default=True,
        help="With --local: wait before the first retry of a stage; doubles each time, at most 6 minutes.",
    )
    @click.option("--ask", is_flag=True, help="With --local: ask both models a held-out question at the end.")
    @wraps(command)
    def with_here(
        engine: str, workspace: Path, claims: Sequence[str], backoff_seconds: float, ask: bool, **others: Any
    ) -> Any:
        if not others["local"]:
            refuse_without_local()
        here = Local(workspace.resolve(), inputs.claims(claims), backoff_seconds, engine=engine, ask=ask)
        return command(here=here, **others)

    return with_here


def refuse_without_local() -> None:
    """Raise UsageError for an option of --local on the command line; the environment may set some."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in LOCAL and is_given(parameter.name):
            option = parameter.opts[0]
            raise click.UsageError(
                f"{option} is for runs on this machine, and --local is missing. Add --local, or leave out "
                f"{option}."
            )
