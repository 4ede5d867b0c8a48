"""The frame of a picture: from figures to its units, with round numbers along the axes."""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from osft_workspace.words import typeset

LEFT, RIGHT, TOP, BOTTOM = 40.0, 366.0, 12.0, 192.0
"""Of the drawing, in units of the picture: 380 wide, as wide as a phone, so that texts stay readable."""
WIDTH, HEIGHT = 380, 228
TICKS = 5
ROOM = 0.06
"""Of the range, left free at both ends."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: `low` of the figures is drawn at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a figure is drawn."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return a few round numbers between both ends."""
        rough = (self.high - self.low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step)
        return [step * number for number in range(first, math.floor(self.high / step) + 1)]


def axis_of(values: Iterable[float], start: float, end: float, least: float) -> Axis:
    """Return an axis for some figures, with room around them; its range is at least `least`."""
    found = list(values)
    low, high = min(found), max(found)
    spare = max((least - (high - low)) / 2, ROOM * (high - low))
    return Axis(low - spare, high + spare, start, end)


def label(value: float, step: float) -> str:
    """Return a tick's number with as many decimals as ticks differ by."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    return safe(f"{0.0 if abs(value) < step / 2 else value:,.{decimals}f}")


def safe(text: object) -> str:
    """Return a text for HTML, with the figures in it typeset."""
    return html.escape(typeset(str(text)))


def step_of(ticks: Sequence[float]) -> float:
    """Return what ticks differ by; 1 for a single one."""
    return ticks[1] - ticks[0] if len(ticks) > 1 else 1.0


def frame(across: Axis, up: Axis, names: tuple[str, str], content: str, about: str) -> str:
    """Return a picture with both axes, named left to right and bottom to top."""
    columns, rows = across.ticks(), up.ticks()
    grid = [
        f'<line class="grid" x1="{LEFT:g}" y1="{up.at(y):.1f}" x2="{RIGHT:g}" y2="{up.at(y):.1f}"/>'
        f'<text class="scale" x="{LEFT - 5:g}" y="{up.at(y) + 3.5:.1f}">{label(y, step_of(rows))}</text>'
        for y in rows
    ]
    below = [
        f'<text class="below" x="{across.at(x):.1f}" y="{BOTTOM + 14:g}">{label(x, step_of(columns))}</text>'
        for x in columns
    ]
    named = (
        f'<text class="axis" x="{RIGHT:g}" y="{BOTTOM + 30:g}">{safe(names[0])}</text>'
        f'<text class="axis up" x="{LEFT:g}" y="{TOP - 3:g}">{safe(names[1])}</text>'
    )
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{safe(about)}">'
        f"<title>{safe(about)}</title>{''.join(grid)}{''.join(below)}{content}{named}</svg>"
    )


def apart(places: Sequence[float], least: float) -> list[float]:
    """Return heights moved down so that neighbours are at least so far apart, in the order given."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved, last = [0.0] * len(places), -math.inf
    for index in order:
        last = moved[index] = max(places[index], last + least)
    return moved
