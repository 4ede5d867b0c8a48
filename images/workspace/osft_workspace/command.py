"""The command line that all stages share: exit codes, the termination message, umask, common options."""

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from osft_workspace import exits, stopping
from osft_workspace.log import clear_bar
from osft_workspace.named_files import check_named_files
from osft_workspace.redact import redact_text
from osft_workspace.termination import say_end
from osft_workspace.text import printable, sentence

HELP_WIDTH = 100
LONGEST_LINE = 2000  # characters of one line of a traceback


def disk_full_cause(error: BaseException) -> OSError | None:
    """Return the "disk is full" behind an error."""
    for seen in exits.causes(error):
        if isinstance(seen, OSError) and seen.errno in exits.DISK_FULL:
            return seen
        if "No space left on device" in str(seen):
            return OSError(28, "No space left on device")
    return None


def fail(message: str, code: int) -> int:
    """Print the one sentence, in red on a terminal, and leave it as the termination message."""
    clear_bar()
    text = sentence(redact_text(message))
    click.secho(f"Error: {text}", fg="red" if sys.stderr.isatty() else None, err=True)
    say_end(text)
    return code


def exit_code_of(error: BaseException) -> int:
    """Say what went wrong and return the exit code for it."""
    full = disk_full_cause(error)
    if full is not None:
        return fail(exits.disk_full(full).message, exits.USER)
    path = exits.unusable_path(error) if isinstance(error, OSError) else None
    if path is not None:
        return fail(path.message, exits.USER)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.", err=True)
    if isinstance(error, click.ClickException):
        return fail(error.format_message(), error.exit_code)
    if isinstance(error, stopping.Stopped):
        return fail("stopped by SIGTERM. Start it again to go on; finished work is kept.", exits.TRANSIENT)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return fail("stopped by Ctrl-C. Start it again to go on; finished work is kept.", 128 + signal.SIGINT)
    foreseen = exits.unusable_input(error)
    if foreseen is not None:
        return fail(foreseen.message, exits.USER)
    click.echo(shown_traceback(error), err=True)
    return fail(f"unexpected {type(error).__name__}: {str(error).rstrip('.')}. This is a bug.", exits.BUG)


def shown_traceback(error: BaseException) -> str:
    """Return the traceback; only source code keeps its lines, for the texts of errors come from anywhere."""
    parts = []
    for part in traceback.format_exception(error):
        lines = part.rstrip("\n").split("\n") if part.startswith("  File ") else [part.strip("\n")]
        parts += [printable(redact_text(line), LONGEST_LINE) for line in lines]
    return "\n".join(parts)


class StageMain(click.Command):
    """Ends the way the chart expects, whatever happens inside."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.context_settings.setdefault("max_content_width", HELP_WIDTH)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        def run() -> Any:
            return super(StageMain, self).main(args, prog_name, complete_var, False, **extra)

        if not standalone_mode:
            return run()
        os.umask(0o002)  # files of one uid must be writable for the next one: all share group 0
        stopping.install()
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a locale without UTF-8 must not end a stage
        try:
            check_named_files()
            result = run()
        except SystemExit:
            raise
        except BaseException as error:
            sys.exit(exit_code_of(error))
        sys.exit(result if isinstance(result, int) else exits.DONE)


class StageCommand(StageMain):
    """The one command of a stage."""


class StageGroup(StageMain, click.Group):
    """Several commands with the same ends."""


def overwrite_option(function: Callable[..., None]) -> Callable[..., None]:
    """`--run-overwrite`, of the stages that make what a registered version points to."""
    return click.option(
        "--run-overwrite/--no-run-overwrite",
        envvar="OSFT_RUN_OVERWRITE",
        show_envvar=True,
        default=False,
        show_default=True,
        help="Let changed inputs replace the result of a run to whose model a registered version points.",
    )(function)


def stage_options(function: Callable[..., None]) -> Callable[..., None]:
    """`--workspace` and `--run-id`, the same for every stage."""
    for option in (
        click.option(
            "--run-id",
            envvar="OSFT_RUN_ID",
            show_envvar=True,
            required=True,
            help="Id of the run, which is its folder in runs/.",
        ),
        click.option(
            "--workspace",
            envvar="OSFT_WORKSPACE",
            show_envvar=True,
            # click's own check asks access(2), which leaves capabilities out; open_stage_dir says it better.
            type=click.Path(path_type=Path, readable=False),
            default=Path("/workspace"),
            show_default=True,
            help="Volume shared by all stages and runs.",
        ),
    ):
        function = option(function)
    return function
