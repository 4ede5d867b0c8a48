"""A run on one screen: its stages as a table, what the current one logs, what to do at a bad end."""

import re
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from osft_pipeline.follow.advice import COMMAND, remedy, start_command, what_to_do
from osft_pipeline.follow.model import Pod, Progress, Run, Stage, when
from osft_pipeline.terminal import plain
from osft_workspace.log import duration

WIDEST = 120
BAR_WIDTH = 24
LOG_LINES = 4
ENDING_LINES = 10
OTHER_PODS = 4
STYLES = {
    "done": "green",
    "running": "cyan",
    "pending": "yellow",
    "queued": "yellow",
    "retrying": "yellow",
    "failed": "red",
    "refused": "red",
    "stopped": "red",
}
EVENT = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?:download|train|eval|register|preflight) ")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first lines of a long sentence."""

    text: str
    lines: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from Text(self.text).wrap(console, options.max_width)[: self.lines]


def frame(run: Run, now: datetime) -> RenderableType:
    """Return the whole screen: what the run is, its stages, what the current one logs or what to do."""
    parts: list[RenderableType] = [headline(run, now), Text(placement(run), "dim"), Text(), stages(run, now)]
    parts += [indented(f"note: {note}") for note in run.notes]
    if run.ended:
        parts += ending(run)
    elif run.current:
        parts += below(run, run.current)
    return Constrain(Group(*parts), WIDEST)


def headline(run: Run, now: datetime) -> Text:
    """Return name, state and time."""
    took = duration(run.seconds(now))
    code = f" with exit code {run.exit_code}" if run.state in ("failed", "refused", "stopped") else ""
    time = f" after {took}" if run.ended else f", {took} so far"
    stage = run.culprit or run.current
    state = f"{stage.name} {run.state}" if stage else run.state
    return Text.assemble((run.id, "bold"), "  ", (state, STYLES.get(run.state, "")), code, time)


def placement(run: Run) -> str:
    """Return where the run's objects are."""
    ordering = f", ordering {run.ordering}" if run.ordering else ""
    job = f", TrainJob {run.trainjob}" if run.trainjob else ""
    return f"release {run.release}, namespace {run.namespace}{ordering}{job}"


def stages(run: Run, now: datetime) -> Table:
    """Return a row for each stage."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=6)
    table.add_column()
    for stage in run.stages:
        seconds = stage.seconds(now)
        took = duration(seconds) if seconds is not None else ""
        state = Text(stage.state, STYLES.get(stage.state, ""))
        table.add_row(f"  {stage.name}", state, took, Group(*details(stage), *pod_lines(stage)))
    return table


def details(stage: Stage) -> list[RenderableType]:
    """Return what there is to say about a stage beside its state."""
    said = []
    if stage.attempts and (stage.attempt > 1 or stage.state == "retrying"):
        said.append(f"attempt {stage.attempt} of {max(stage.attempts, stage.attempt)}")
    if stage.exit_code:
        said.append(f"exit code {stage.exit_code}")
    if stage.reason and stage.state != "done":
        said.append(stage.reason)
    parts: list[RenderableType] = [Text(", ".join(said))] if said else []
    if stage.progress and stage.state == "running":
        parts += [*progress(stage.progress), *curves(stage.curves)]
    if stage.message and stage.state not in ("failed", "refused"):
        again = "already done: " if stage.already_done else ""
        parts.append(Excerpt(again + stage.message, 2 if stage.state == "done" else 3))
    advice = remedy(stage) if stage.state in ("pending", "queued", "retrying") else ""
    return [*parts, Text(advice)] if advice else parts


def progress(seen: Progress) -> list[RenderableType]:
    """Return a bar where the stage counts, and its words where it does not."""
    if seen.share is None:  # its fields stand below, with the last lines of the log
        return [cut(seen.fields.get("last", seen.what))]
    bar = ProgressBar(total=seen.total or 1, completed=seen.done or 0, width=BAR_WIDTH)
    count = f"{seen.unit} {seen.done:g}/{seen.total:g} ({100 * seen.share:.0f} %)"
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_row(bar, ", ".join([count, *([f"{seen.left} left"] if seen.left else [])]))
    return [row, Text(", ".join([seen.what, *(f"{key} {value}" for key, value in seen.fields.items())]))]


def curves(lines: list[tuple[str, str]]) -> list[RenderableType]:
    """Return the losses of a training, a line each."""
    widest = max((len(name) for name, _ in lines), default=0)
    return [cut(f"{name:<{widest}}  {line}") for name, line in lines]


def pod_lines(stage: Stage) -> list[RenderableType]:
    """Return the stage's pods; of many, those whose state differs."""
    if stage.pod is None:
        return []
    since = f"{stage.started.astimezone():%H:%M:%S}  " if stage.started else ""
    lines = [since + pod_line(stage.pod, bool(stage.others))]
    odd = [pod for pod in stage.others if pod.state != stage.pod.state]
    shown = (odd or stage.others)[:OTHER_PODS]
    lines += [pod_line(pod, True) for pod in shown]
    if left := len(stage.others) - len(shown):
        lines.append(f"and {left} further {'pod' if left == 1 else 'pods'}")
    return [cut(line, "dim") for line in lines]


def pod_line(pod: Pod, many: bool) -> str:
    """Return a pod's name and node, with its rank where there are several."""
    where = f" on {pod.node}" if pod.node else ""
    rank = f"rank {pod.rank} {pod.state}, " if many else ""
    return f"{rank}pod {pod.name}{where}"


def below(run: Run, stage: Stage) -> list[RenderableType]:
    """Return the last lines of the current stage's log, or the command that starts it."""
    if command := start_command(run, stage):
        title = Text("It was created suspended. Start it, and set queue.suspend to false:")
        return [Text(), title, whole(f"  {command}")]
    lines = [brief(line) for line in stage.log if line.strip()][-LOG_LINES:]
    return [Text(), *(cut(f"  {line}", "dim") for line in lines)] if lines else []


def brief(line: str) -> str:
    """Return a log line with its time in this machine's time zone, without date and stage."""
    return EVENT.sub(lambda event: f"{when(event[1]).astimezone():%H:%M:%S}  ", plain(line).rstrip())


def ending(run: Run) -> list[RenderableType]:
    """Return how a run ended badly: the sentence, the last lines before it, what to do."""
    stage = run.culprit
    if stage is None:
        return []
    message = (run.message or stage.reason or "No message was left.").splitlines()
    parts: list[RenderableType] = [Text(), Text(f"{stage.name} {stage.state}", STYLES[stage.state])]
    parts += [indented(line) for line in message]
    own = [line for line in stage.log if line.strip() and line.removeprefix("Error: ") not in message]
    if own and stage.state == "failed":
        lines = [cut(f"  {brief(line)}", "dim") for line in own[-ENDING_LINES:]]
        parts += [Text(), Text("Its last lines"), *lines]
    advice = [whole(f"  {line}") if line.startswith(COMMAND) else indented(line) for line in what_to_do(run)]
    return [*parts, Text(), Text("What to do"), *advice]


def indented(text: str) -> Padding:
    """Return a sentence on as many lines as it takes."""
    return Padding(Text(text), (0, 0, 0, 2), expand=False)


def cut(text: str, style: str = "") -> Text:
    """Return a line that is cut at the width of its place."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def whole(command: str) -> Text:
    """Return a command on one line, however long: it is copied from here."""
    return Text(command, no_wrap=True, overflow="ignore")
