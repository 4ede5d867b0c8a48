"""Reads a stage's log: `time stage what key=value ...`, one event a line."""

import re
from collections.abc import Sequence

from osft_pipeline.follow.model import Progress
from osft_pipeline.terminal import plain

EVENT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (?P<stage>download|train|eval|register|preflight|wait) (?P<rest>.*)"
)
PAIR = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)')
COUNT = re.compile(r"([\d.]+(?:e[+-]?\d+)?)/([\d.]+(?:e[+-]?\d+)?)")
ESCAPES = {"n": " ", "r": " "}


def parse(line: str) -> Progress | None:
    """Parse an event line; return None for any other line."""
    event = EVENT.fullmatch(plain(line).rstrip())
    if not event:
        return None
    rest = event["rest"]
    pairs = list(PAIR.finditer(rest))
    what = rest[: pairs[0].start()] if pairs else rest
    fields = {pair[1]: unquoted(pair[2]) for pair in pairs}
    progress = Progress(what=what, left=fields.pop("left", ""))
    for unit, value in fields.items():
        if counted := COUNT.fullmatch(value):
            progress.done, progress.total, progress.unit = float(counted[1]), float(counted[2]), unit
            del fields[unit]
            break
    progress.fields = fields
    return progress


def unquoted(value: str) -> str:
    """Return a value of an event line without its quotes."""
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), value[1:-1])


def newest(lines: Sequence[str]) -> Progress | None:
    """Return what the stage does now: unfinished work that it counts, otherwise its newest event."""
    events = [event for event in map(parse, lines) if event]
    counted = next((event for event in reversed(events) if event.total), None)
    if counted and counted.share is not None and counted.share < 1:
        return counted
    return events[-1] if events else None


def said_already_done(lines: Sequence[str]) -> bool:
    """Return whether this attempt found the stage already done."""
    last = next((event for event in map(parse, reversed(lines)) if event), None)
    return last is not None and last.what == "already done"
