"""The command line of `scripts/follow`."""

import argparse
import json
import re
import shutil
import signal
import sys
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

from osft_follow.display import Display, Lines, Screen, paint_for
from osft_follow.follower import Follower, TimedOut, no_run
from osft_follow.kubectl import Away, Kubectl, Problem
from osft_follow.look import Look
from osft_follow.model import TRANSIENT, USER, Run
from osft_follow.screen import WIDEST, frame

REFRESH_SECONDS = {True: 2.0, False: 5.0}
"""By whether a person watches."""

HELP = """\
On a terminal one screen is drawn again and again; elsewhere each change is a line, progress every 30 s
or 5 %. What is shown comes from the TrainJob, Jobs, pods and logs of the release, through kubectl and
with your rights: get and list on trainjobs, jobs, pods and pods/log.

exit codes
  0    the run is done
  2    somebody must fix something: the stage's exit code 2, helm gave up, no such run, no right to look
  3    a gate refused
  75   not yet, or something was away: --once and the run lives, --timeout passed, the cluster does not
       answer, the stage's exit code 75 after all attempts, its deadline passed
  130  stopped by Ctrl-C; the run goes on
  else the failed stage's own exit code: a bug

--json prints one object to stdout when the run ends (with --once: now), changes go to stderr:
  release, run, namespace, ordering (cluster, hooks), trainJob, state, exitCode (null while it lives),
  message, started, finished, seconds, notes, and stages: a list, in order, of
    name, state, alreadyDone, attempt, attempts, pod, node, started, finished, seconds, exitCode,
    reason, message, progress {what, done, total, unit, percent, left, fields},
    pods [{name, rank, state, node, exitCode}], log: its last lines while it runs and when it failed
  states: waiting queued pending running retrying done failed refused stopped "not started"; times are
  UTC. Keys are only added. What is not known is null.

examples
  scripts/follow run1
  scripts/follow run1 -n team --once --json | jq -r '.stages[] | [.name, .state, .message] | @tsv'
  helm install run1 charts/osft-pipeline -f my-values.yaml && scripts/follow run1 --timeout 12h
"""


def seconds_of(text: str) -> float:
    """`90`, `90s`, `15m`, `1h30m` in seconds."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text)
    if not text or not parts:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: expected seconds, or as in 90s, 15m, 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="scripts/follow",
        description="Show a run in the cluster while it lives and after, and end with its exit code.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("release", metavar="RELEASE", help="release name, as in `helm install RELEASE`")
    made.add_argument("-n", "--namespace", help="namespace; kubectl's current one by default")
    made.add_argument("--context", help="context of the kubeconfig")
    made.add_argument("--kubeconfig", help="kubeconfig file")
    made.add_argument("--run", metavar="RUN_ID", help="this run of the release; its newest by default")
    made.add_argument("--once", action="store_true", help="show how it stands and end")
    made.add_argument("--json", action="store_true", help="print one JSON object; see below")
    made.add_argument(
        "--every", type=seconds_of, metavar="TIME", help="between two looks; 2s on a screen, else 5s"
    )
    made.add_argument("--timeout", type=seconds_of, metavar="TIME", help="give up after 90s, 15m, 12h")
    return made


def once(look: Look, as_json: bool) -> int:
    """Show how a run stands now."""
    run = look.once()
    if run is None:
        raise no_run(look)
    if as_json:
        print_json(run)
    else:
        width = shutil.get_terminal_size((WIDEST, 24)).columns
        print("\n".join(frame(run, datetime.now(UTC), width, paint_for(sys.stdout))))
    return run.exit_code if run.exit_code is not None else TRANSIENT


def print_json(run: Run) -> None:
    """The object of --json."""
    print(json.dumps(run.to_json(datetime.now(UTC)), indent=1, ensure_ascii=False), flush=True)


def follow(options: argparse.Namespace) -> int:
    """Run the command; the exit code. Raises Problem, Away or TimedOut."""
    kubectl = Kubectl.of(options.namespace, options.context, options.kubeconfig)
    look = Look(kubectl, options.release, options.run)
    if options.once:
        return once(look, options.json)
    stream = sys.stderr if options.json else sys.stdout
    live = stream.isatty() and not options.json
    display: Display = Screen(stream) if live else Lines(stream)
    every = REFRESH_SECONDS[live] if options.every is None else options.every
    follower = Follower(look, display, every, options.timeout)
    try:
        return follower.until_end()
    finally:
        display.end(follower.run)
        if options.json and follower.run:
            print_json(follower.run)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM: the run is not ours to stop."""


def stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(number)


def entry() -> None:
    """Program entry."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    options = parser().parse_args()
    try:
        code = follow(options)
    except Problem as problem:
        code = complain(str(problem), USER)
    except Away as away:
        code = complain(f"the cluster does not answer ({away}).", TRANSIENT)
    except TimedOut as late:
        code = complain(str(late), TRANSIENT)
    except Stopped as stopped:
        print("Nothing is stopped but this look; the run goes on.", file=sys.stderr)
        code = 128 + int(stopped.args[0])
    sys.exit(code)


def complain(sentence: str, code: int) -> int:
    """Say why nothing more is shown."""
    print(f"Error: {sentence}", file=sys.stderr)
    return code
