"""The loss as a picture: one SVG file that reads well on light and dark pages."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from osft_workspace import write_atomic
from osft_workspace.text import counted

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 44
SMOOTHING = 0.8
TICKS = 5

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 14px; font-weight: 600; fill: #24292f }
  .grid { stroke: #8c959f; stroke-opacity: .25 }
  .raw { fill: none; stroke: #0969da; stroke-opacity: .35; stroke-width: 1.2 }
  .line { fill: none; stroke: #0969da; stroke-width: 2.2; stroke-linejoin: round }
  .check { fill: none; stroke: #bc4c00; stroke-width: 2.2 }
  circle { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #8b949e } .title { fill: #e6edf3 } .raw, .line { stroke: #58a6ff } .check { stroke: #f0883e }
    circle { fill: #f0883e }
  }
"""

Point = tuple[float, float]


def nice_step(span: float) -> float:
    """Return a round distance between ticks: 1, 2 or 5 times a power of ten."""
    raw = max(span, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that cover low to high."""
    step = nice_step(high - low)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def smooth(values: Sequence[float]) -> list[float]:
    """Exponential average that starts unbiased."""
    smoothed, weight, total = [], 0.0, 0.0
    for value in values:
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smoothed.append(total / weight)
    return smoothed


class Scale:
    """From steps and losses to places in the picture."""

    def __init__(self, steps: Sequence[float], values: Sequence[float]) -> None:
        self.across = ticks(0, max(steps))
        self.up = ticks(min(values), max(values))

    def place(self, step: float, value: float) -> Point:
        """Return the place of one point."""
        x = (step - self.across[0]) / (self.across[-1] - self.across[0])
        y = (value - self.up[0]) / (self.up[-1] - self.up[0])
        return LEFT + x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)

    def path(self, points: Sequence[Point]) -> str:
        """Return an SVG path through points."""
        return "M" + "L".join("{:.1f} {:.1f}".format(*self.place(*point)) for point in points)

    def grid(self) -> list[str]:
        """Lines and numbers of both axes."""
        drawn = []
        for value in self.up:
            _, y = self.place(self.across[0], value)
            drawn.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            drawn.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        for step in self.across:
            x, _ = self.place(step, self.up[0])
            drawn.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step:g}</text>')
        return drawn


def draw(steps: Sequence[dict[str, Any]], title: str) -> str:
    """Return the SVG text.

    Args:
        steps: lines of the training log with `step`, `loss` and perhaps `val_loss`.
    """
    losses = [(step["step"], step["loss"]) for step in steps]
    checks = [(step["step"], step["val_loss"]) for step in steps if step.get("val_loss") is not None]
    scale = Scale([x for x, _ in losses], [y for _, y in [*losses, *checks]])
    average = list(zip([x for x, _ in losses], smooth([y for _, y in losses]), strict=True))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
        *scale.grid(),
        f'<path class="raw" d="{scale.path(losses)}"/>',
        f'<path class="line" d="{scale.path(average)}"/>',
        *([f'<path class="check" d="{scale.path(checks)}"/>'] if len(checks) > 1 else []),
        *('<circle cx="{:.1f}" cy="{:.1f}" r="3"/>'.format(*scale.place(*point)) for point in checks),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">optimizer step</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def write(steps: Sequence[dict[str, Any]], target: Path) -> None:
    """Draw the losses of a run into a file."""
    first, last = steps[0]["loss"], steps[-1]["loss"]
    write_atomic(
        target,
        draw(steps, f"Training loss: {first:.3f} to {last:.3f} in {counted(steps[-1]['step'], 'step')}"),
    )
