"""`osft follow`: one run on the cluster, while it runs and after."""

import re
import signal
import sys
from datetime import UTC, datetime
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console

from osft_pipeline.commands import SETTINGS
from osft_pipeline.follow.display import Display, Lines, Screen
from osft_pipeline.follow.follower import Follower, no_run
from osft_pipeline.follow.look import Look
from osft_pipeline.follow.model import TRANSIENT, Run
from osft_pipeline.follow.screen import WIDEST, frame
from osft_pipeline.kubectl import Kubectl, cluster_options
from osft_pipeline.terminal import plain_json

REFRESH_SECONDS = {True: 2.0, False: 5.0}
"""On a terminal, and elsewhere."""


class Time(click.ParamType[float]):
    """`90`, `90s`, `15m`, `1h30m`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        """Return the time in seconds."""
        if isinstance(value, float):
            return value
        parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", value)
        if not value or not parts:
            self.fail(
                f"{value!r} is not a valid time: expected seconds, or as in 90s, 15m, 1h30m", param, context
            )
        hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        return float(hours * 3600 + minutes * 60 + seconds)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM: only this command ends, not the run."""


def stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(number)


@click.command(context_settings=SETTINGS)
@click.argument("release")
@cluster_options
@click.option("--run", "run_id", metavar="RUN_ID", help="This run of the release; its newest by default.")
@click.option("--once", is_flag=True, help="Show the present state and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, described below.")
@click.option(
    "--every", type=Time(), metavar="TIME", help="Time between two looks; 2s on a terminal, otherwise 5s."
)
@click.option(
    "--timeout", type=Time(), metavar="TIME", help="Give up after this time, such as 90s, 15m, 12h."
)
def main(
    release: str,
    kubectl: Kubectl,
    run_id: str | None,
    once: bool,
    as_json: bool,
    every: float | None,
    timeout: float | None,
) -> None:
    """Show a run on the cluster while it runs and after, and end with its exit code.

    On a terminal one screen is redrawn; elsewhere each change is a line, and progress comes every 30 s or
    5 %. Everything is read from the TrainJob, Jobs, pods and logs of the release, through kubectl and with
    your rights: get and list on trainjobs, jobs, pods and pods/log.

    \b
    Exit codes:
      0    the run is done
      2    something must be fixed: the stage's exit code 2, helm gave up, no such run, a missing right
      3    the gate failed
      75   not done yet, or something was unavailable: --once while the run is running, --timeout passed,
           the cluster does not answer, the stage's exit code 75 after all retries, its deadline passed
      130  stopped by Ctrl-C; the run goes on
      other  the failed stage's own exit code: a bug

    \b
    --json prints one object to stdout when the run ends (with --once: now), changes go to stderr:
      release, run, namespace, ordering (cluster, hooks), trainJob, state, exitCode (null before the end),
      message, started, finished, seconds, notes, and stages: a list, in order, of
        name, state, alreadyDone, attempt, attempts, pod, node, started, finished, seconds, exitCode,
        reason, message, progress {what, done, total, unit, percent, left, fields},
        pods [{name, rank, state, node, exitCode}], log: its last lines while it runs and when it failed
      states: waiting queued pending running retrying done failed refused stopped "not started"; times are
      UTC. Keys are only added. What is not known is null.

    \b
    osft follow run1 -n team --once --json | jq -r '.stages[] | [.name, .state, .message] | @tsv'
    helm install run1 charts/osft-pipeline -f my-values.yaml && osft follow run1 --timeout 12h
    """
    raise SystemExit(shown(Look(kubectl, release, run_id), once, as_json, every, timeout))


def shown(look: Look, once: bool, as_json: bool, every: float | None, timeout: float | None) -> int:
    """Show a run, now or until its end; return the exit code, also where a signal ends the command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        return show_once(look, as_json) if once else follow(look, as_json, every, timeout)
    except Stopped as stopped:
        click.echo("Only osft follow was stopped; the run goes on.", err=True)
        return 128 + int(stopped.args[0])


def show_once(look: Look, as_json: bool) -> int:
    """Show the present state of a run; return its exit code, 75 before its end."""
    run = look.once()
    if run is None:
        raise no_run(look)
    if as_json:
        print_json(run)
    else:
        console = Console(width=None if sys.stdout.isatty() else WIDEST)
        console.print(frame(run, datetime.now(UTC)), crop=False)
    return run.exit_code if run.exit_code is not None else TRANSIENT


def print_json(run: Run) -> None:
    """Print the object of --json."""
    print(plain_json(run.to_json(datetime.now(UTC))), flush=True)


def follow(look: Look, as_json: bool, every: float | None, timeout: float | None) -> int:
    """Follow until the end; return the run's exit code. Raises UserError or Transient."""
    stream = sys.stderr if as_json else sys.stdout
    live = stream.isatty() and not as_json
    display: Display = Screen(stream) if live else Lines(stream)
    follower = Follower(look, display, REFRESH_SECONDS[live] if every is None else every, timeout)
    try:
        return follower.until_end()
    finally:
        display.end(follower.run)
        if as_json and follower.run:
            print_json(follower.run)
