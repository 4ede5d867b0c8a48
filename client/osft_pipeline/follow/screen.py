"""A run on one screen: plain text, as wide and as high as the terminal."""

import re
import textwrap
from collections.abc import Callable
from datetime import datetime

from osft_pipeline.follow.advice import COMMAND, remedy, start_command, what_to_do
from osft_pipeline.follow.model import Pod, Progress, Run, Stage, when
from osft_pipeline.terminal import plain
from osft_workspace.log import duration

WIDEST = 120
BAR_WIDTH = 24
LOG_LINES = 4
OTHER_PODS = 4
COLOURS = {
    "done": "32",
    "running": "36",
    "pending": "33",
    "queued": "33",
    "retrying": "33",
    "failed": "31",
    "refused": "31",
    "stopped": "31",
    "dim": "2",
    "bold": "1",
}
EVENT = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?:download|train|eval|register|preflight) ")
Paint = Callable[[str, str], str]


def in_colour(text: str, kind: str) -> str:
    """Text as a terminal shows it."""
    return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m" if kind in COLOURS and text else text


def in_plain(text: str, kind: str) -> str:
    """Text as a file keeps it."""
    return text


def frame(run: Run, now: datetime, width: int, paint: Paint) -> list[str]:
    """The whole screen: what it is, its stages, what the current one says, what to do."""
    width = min(width, WIDEST)
    lines = [headline(run, now, paint), paint(placement(run), "dim"), ""]
    for stage in run.stages:
        lines += stage_lines(run, stage, now, width, paint)
    for note in run.notes:
        lines += wrap(f"note: {note}", width - 2, "  ")
    if run.current and not run.ended:
        lines += below(run, run.current, width, paint)
    lines = [clip(line, width) for line in lines]
    # Nothing is drawn over the end, so a command may be as long as it is.
    return lines + (ending(run, width, paint) if run.ended else [])


def headline(run: Run, now: datetime, paint: Paint) -> str:
    """Name, state, time."""
    took = duration(run.seconds(now))
    code = f" with exit code {run.exit_code}" if run.state in ("failed", "refused", "stopped") else ""
    time = f" after {took}" if run.ended else f", {took} so far"
    stage = run.culprit or run.current
    state = f"{stage.name} {run.state}" if stage else run.state
    return f"{paint(run.id, 'bold')}  {paint(state, run.state)}{code}{time}"


def placement(run: Run) -> str:
    """Where it lies."""
    ordering = f", ordering {run.ordering}" if run.ordering else ""
    job = f", TrainJob {run.trainjob}" if run.trainjob else ""
    return f"release {run.release}, namespace {run.namespace}{ordering}{job}"


def stage_lines(run: Run, stage: Stage, now: datetime, width: int, paint: Paint) -> list[str]:
    """A stage's line and what belongs below it."""
    seconds = stage.seconds(now)
    took = duration(seconds) if seconds is not None else ""
    names, states = (max(len(text) for text in texts) for texts in columns(run))
    head = f"  {stage.name:<{names}}  {paint(f'{stage.state:<{states}}', stage.state)}  {took:>6}  "
    indent = " " * visible(head)
    room = max(width - len(indent), 20)
    first, *below = details(stage, room) or [""]
    lines = [f"{head}{first}".rstrip(), *(f"{indent}{line}" for line in below)]
    return lines + [paint(f"{indent}{line}", "dim") for line in pod_lines(stage, room)]


def columns(run: Run) -> tuple[list[str], list[str]]:
    """What stands in the first two columns."""
    return [stage.name for stage in run.stages], [stage.state for stage in run.stages]


def details(stage: Stage, room: int) -> list[str]:
    """What is to be said of a stage beside its state."""
    told = []
    if stage.attempts and (stage.attempt > 1 or stage.state == "retrying"):
        told.append(f"attempt {stage.attempt} of {max(stage.attempts, stage.attempt)}")
    if stage.exit_code:
        told.append(f"exit code {stage.exit_code}")
    if stage.reason and stage.state != "done":
        told.append(stage.reason)
    words = [", ".join(told)] if told else []
    if stage.progress and stage.state == "running":
        words += progress(stage.progress, room)
    if stage.message and stage.state not in ("failed", "refused"):
        again = "already done: " if stage.already_done else ""
        words += wrap(again + stage.message, room)[: 2 if stage.state == "done" else 3]
    return words + (wrap(remedy(stage), room) if stage.state in ("pending", "queued", "retrying") else [])


def progress(told: Progress, room: int) -> list[str]:
    """A bar where the stage counts, its words where it does not."""
    fields = [f"{key} {value}" for key, value in told.fields.items()]
    left = [f"{told.left} left"] if told.left else []
    if told.share is None:  # its fields stand below, with the last lines of the log
        return [clip(told.fields.get("last", told.what), room)]
    filled = round(min(told.share, 1.0) * BAR_WIDTH)
    bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"
    count = f"{told.unit} {told.done:g}/{told.total:g} ({100 * told.share:.0f} %)"
    return [", ".join([f"{bar} {count}", *left]), ", ".join([told.what, *fields])]


def pod_lines(stage: Stage, room: int) -> list[str]:
    """The stage's pods; of many, those that need a look."""
    if stage.pod is None:
        return []
    since = f"{stage.started.astimezone():%H:%M:%S}  " if stage.started else ""
    lines = [since + pod_line(stage.pod, bool(stage.others))]
    odd = [pod for pod in stage.others if pod.state != stage.pod.state]
    shown = (odd or stage.others)[:OTHER_PODS]
    lines += [pod_line(pod, True) for pod in shown]
    if left := len(stage.others) - len(shown):
        lines.append(f"and {left} further {'pod' if left == 1 else 'pods'}")
    return [clip(line, room) for line in lines]


def pod_line(pod: Pod, many: bool) -> str:
    """One pod."""
    where = f" on {pod.node}" if pod.node else ""
    rank = f"rank {pod.rank} {pod.state}, " if many else ""
    return f"{rank}pod {pod.name}{where}"


def below(run: Run, stage: Stage, width: int, paint: Paint) -> list[str]:
    """The last lines of the current stage's log, or the command that lets it go on."""
    if command := start_command(run, stage):
        return ["", "It was made suspended. Start it, and set queue.suspend to false:", f"  {command}"]
    lines = [brief(line) for line in stage.log if line.strip()][-LOG_LINES:]
    return ["", *(paint(clip(f"  {line}", width), "dim") for line in lines)] if lines else []


def brief(line: str) -> str:
    """A log line with its time as it is here, without date and stage."""
    return EVENT.sub(lambda event: f"{when(event[1]).astimezone():%H:%M:%S}  ", plain(line).rstrip())


def ending(run: Run, width: int, paint: Paint) -> list[str]:
    """How a run ended badly: the sentence, the last lines before it, what to do."""
    stage = run.culprit
    if stage is None:
        return []
    whole = (run.message or stage.reason or "it left no word.").splitlines()
    lines = ["", paint(f"{stage.name} {stage.state}", stage.state)]
    lines += [part for line in whole for part in wrap(line, width - 2, "  ")]
    own = [line for line in stage.log if line.strip() and line.removeprefix("Error: ") not in whole]
    if own and stage.state == "failed":
        lines += [
            "",
            "Its last lines",
            *(paint(clip(f"  {brief(line)}", width), "dim") for line in own[-10:]),
        ]
    return [*lines, "", "What to do", *(part for line in what_to_do(run) for part in told(line, width))]


def told(line: str, width: int) -> list[str]:
    """A line of advice; a command stays whole."""
    return [f"  {line}"] if line.startswith(COMMAND) else wrap(line, width - 2, "  ")


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """A sentence on several lines; commands keep their words whole."""
    return textwrap.wrap(
        text,
        max(width, 20),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def visible(text: str) -> int:
    """Columns that a text takes."""
    return len(re.sub(r"\x1b\[[0-9;]*m", "", text))


def clip(text: str, width: int) -> str:
    """A line cut to a width, colours kept whole."""
    if visible(text) <= width:
        return text
    out, seen = [], 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", text):
        if part.startswith("\x1b["):
            out.append(part)
        else:
            out.append(part[: max(width - 1 - seen, 0)])
            seen += len(part)
    return "".join(out) + "\u2026"
