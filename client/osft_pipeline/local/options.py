"""The options of runs on this machine, and of what every run reads."""

from collections.abc import Callable, Sequence
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


def source_options(command: Any) -> Any:
    """Give a command --data, --model and --registry; it receives `sources`.

    That returns helm's flags for them, and gives `here` a folder for each path.
    """

    @click.option(
        "--data",
        metavar="FILE|URI",
        help="Rows to train on: short for --set data.uri=URI. A path of this machine needs --local.",
    )
    @click.option(
        "--model",
        metavar="FOLDER|URI",
        help="Base model: short for --set model.uri=URI. A folder of this machine needs --local.",
    )
    @click.option(
        "--registry",
        envvar="OSFT_LOCAL_REGISTRY",
        show_envvar=True,
        metavar="ADDRESS|none",
        help="Model Registry: short for --set register.address=ADDRESS; none: no registration.",
    )
    @wraps(command)
    def with_sources(data: str | None, model: str | None, registry: str | None, **others: Any) -> Any:
        def sources(here: Local) -> list[str]:
            return [*registry_flags(registry), *source_flags(data, model, here)]

        return command(sources=sources, **others)

    return with_sources


def continue_option(command: Any) -> Any:
    """Give a command that has `source_options` --continue; it receives `earlier`."""

    @click.option(
        "--continue",
        "earlier",
        metavar="RUN",
        help="Tune the model of an earlier run, by its run id or release, for the next task: short for --set "
        "model.fromRun=RUN, in the workspace of that run.",
    )
    @wraps(command)
    def with_earlier(earlier: str | None, **others: Any) -> Any:
        if earlier is not None and not earlier.strip():
            # An unset variable of a shell; without this, the default base model would be tuned.
            raise click.UsageError(
                "--continue is empty, expected the run id or the release of an earlier run."
            )
        if earlier and (model := others["model"]):
            raise click.UsageError(
                f"--model {model!r} and --continue {earlier!r} both name the base model. Leave out one of "
                "them."
            )
        return command(earlier=earlier, **others)

    return with_earlier


def place_options(command: Any) -> Any:
    """Give a command that starts runs --no-check, --autoscaler and --local."""
    unchecked = click.option("--no-check", is_flag=True, help="Start without the checks of osft check.")
    autoscaler = click.option(
        "--autoscaler", is_flag=True, help="Nodes are added on demand: do not compare pods with nodes."
    )
    local = click.option("--local", is_flag=True, help="Run the stages on this machine, without a cluster.")
    return unchecked(autoscaler(local(command)))


def local_options(starts: bool = True) -> Callable[[Any], Any]:
    """Give a command the options of --local; it receives `here`, the runs on this machine.

    `starts` says whether the command starts any.
    """

    def give(command: Any) -> Any:
        @engine_option
        @workspace_option
        @claim_option
        @wraps(command)
        def with_here(
            engine: str,
            workspace: Path,
            claims: Sequence[str],
            backoff_seconds: float = 0,
            ask: bool = False,
            **others: Any,
        ) -> Any:
            if not others["local"]:
                refuse_without_local()
            here = Local(workspace.resolve(), inputs.claims(claims), backoff_seconds, engine=engine, ask=ask)
            return command(here=here, **others)

        return start_options(with_here) if starts else with_here

    return give


def engine_option(command: Any) -> Any:
    """Give a command --engine."""
    return click.option(
        "--engine",
        type=click.Choice([PROCESS, *NAMES]),
        envvar="OSFT_ENGINE",
        default=PROCESS,
        show_default=True,
        show_envvar=True,
        help="With --local: start processes from the checkout's environments, or containers of the images.",
    )(command)


def claim_option(command: Any) -> Any:
    """Give a command --claim."""
    return click.option(
        "--claim",
        "claims",
        multiple=True,
        metavar="NAME=DIR",
        help="With --local: folder in place of a claim (pvc://NAME/...) or of a mounted Secret of that name.",
    )(command)


def start_options(command: Any) -> Any:
    """Give a command the options of stages that are started."""
    backoff = click.option(
        "--backoff-seconds",
        type=click.FloatRange(min=0),
        default=10.0,
        show_default=True,
        help="With --local: wait before the first retry of a stage; doubles each time, at most 6 minutes.",
    )
    ask = click.option(
        "--ask", is_flag=True, help="With --local: ask both models a held-out question at the end."
    )
    return backoff(ask(command))


def source_flags(data: str | None, model: str | None, here: Local) -> list[str]:
    """Return the values that --data and --model stand for; a path becomes a claim of `here`."""
    return [
        word
        for key, value in (("data.uri", data), ("model.uri", model))
        if value
        for word in inputs.address_flags(key, value, here.claims)
    ]


def registry_flags(registry: str | None) -> list[str]:
    """Return the value that --registry stands for."""
    if registry is None:
        return []
    return ["--set-string", f"register.address={'' if registry == 'none' else registry}"]


def refuse_without_local() -> None:
    """Raise UsageError for an option of --local on the command line; the environment may set some."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in LOCAL and is_given(parameter.name):
            option = parameter.opts[0]
            raise click.UsageError(
                f"{option} is for runs on this machine, and --local is missing. Add --local, or leave out "
                f"{option}."
            )
