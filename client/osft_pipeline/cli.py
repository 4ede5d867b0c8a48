"""The command `osft`. Each subcommand is a module of `commands` and is imported when it is called."""

import signal
import sys
from importlib import import_module

import click

from osft_pipeline import __version__
from osft_pipeline.commands import SETTINGS
from osft_workspace import printable

COMMANDS = {
    "run": "Start a run: on the cluster, or with --local on this machine.",
    "sweep": "Start a run for every combination of some values, and compare them.",
    "check": "Check values, rights, cluster and addresses before a run.",
    "plan": "Show what a training takes: steps, memory, disk and time.",
    "follow": "Watch a run on the cluster until it ends.",
    "runs": "List runs on the cluster and on this machine.",
    "report": "Show what a run learned and what it kept.",
    "compare": "Compare runs: what each learned and kept, and which one to ship.",
    "ask": "Ask the base model and the tuned model the same question.",
    "fetch": "Copy the tuned model, or any file of a run, out of the workspace.",
    "prune": "Remove old runs and cached models that nothing needs.",
    "migrate": "Turn settings of another system into a values file.",
    "secrets": "Create the Secrets that the chart reads.",
}


class Lazy(click.Group):
    """A group whose help needs none of its commands."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found: click.Command = import_module(f"osft_pipeline.commands.{name}").main
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings=SETTINGS)
@click.version_option(__version__, "-V", "--version", prog_name="osft")
def main() -> None:
    """Fine-tune a language model on Kubernetes and see what it learned and what it forgot.

    \b
    osft run mine --data hf://org/dataset          start a run on the cluster
    osft run mine --local --data ./chat.jsonl      the same run on this machine
    osft follow mine                               watch it
    osft report mine                               what was learned, what was kept
    """


def entry() -> None:
    """Run the command line. A closed pipe, as in `osft runs | head`, ends it silently.

    Exit codes: 130 after Ctrl-C, 2 for a path that cannot be read or written, otherwise the command's own.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(main.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as ended:
        click.echo("Aborted.", err=True)
        sys.exit(130 if isinstance(ended.__cause__, KeyboardInterrupt) else 1)
    except OSError as error:
        if error.filename is None:
            raise
        where, why = printable(str(error.filename)), printable(error.strerror or type(error).__name__)
        click.echo(f"Error: {where}: {why}. Check the path and its permissions.", err=True)
        sys.exit(2)
