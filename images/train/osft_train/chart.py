"""The losses as a picture: one SVG file that reads well on light and dark pages."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osft_workspace import write_atomic
from osft_workspace.text import counted

INCHES = (7.5, 3.5)
SMOOTHING = 0.8
FEW = 12
"""With so few steps, each is a point: a single one makes no line."""
TEXT, FRAME, STEP, SMOOTHED, VALIDATION, RATE = (
    "#57606a",
    "#8c959f",
    "#9ec9f7",
    "#0969da",
    "#bc4c00",
    "#7d8590",
)
DARK = {TEXT: "#9198a1", FRAME: "#6e7681", STEP: "#1c4a80", SMOOTHED: "#58a6ff", VALIDATION: "#f0883e"}
"""Colours -> what they are on a dark page."""
SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": FRAME,
    "axes.labelcolor": TEXT,
    "axes.spines.top": False,
    "axes.titlecolor": TEXT,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": 700,
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.color": FRAME,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "osft",  # the same losses make the same file
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}


def style() -> str:
    """Return the rules for a dark page; they go before what stands at each element."""
    rules = (
        f'[style*="{kind}: {light}"] {{ {kind}: {dark} !important }}'
        for light, dark in DARK.items()
        for kind in ("stroke", "fill")
    )
    dark = f"@media (prefers-color-scheme: dark) {{ {' '.join(rules)} }}"
    return f"text {{ font-family: system-ui, sans-serif !important }} {dark}"


def smooth(values: Sequence[float]) -> list[float]:
    """Exponential average that starts unbiased."""
    smoothed, weight, total = [], 0.0, 0.0
    for value in values:
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smoothed.append(total / weight)
    return smoothed


def draw(steps: Sequence[dict[str, Any]], title: str) -> str:
    """Return the SVG text.

    Args:
        steps: lines of mini-trainer's log with `step`, `loss`, `lr` and perhaps `val_loss`.
    """
    # A second of importing that only a training's end needs.
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(SETTINGS):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots()
        rates = axes.twinx()
        plot(steps, axes, rates)
        axes.set(title=title, xlabel="optimizer step", ylabel="loss", xlim=(0, steps[-1]["step"] + 1))
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        rates.set(ylabel="learning rate")
        rates.set_ylim(bottom=0)
        rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        axes.legend(handles=[*axes.lines, *rates.lines])
        drawn = io.StringIO()
        about = {"Title": title, "Creator": None, "Date": None}
        figure.savefig(drawn, format="svg", transparent=True, metadata=about)
    return drawn.getvalue().replace("</style>", style() + "</style>", 1)


def plot(steps: Sequence[dict[str, Any]], axes: Any, rates: Any) -> None:
    """Put the lines of the losses, and on a second axis that of the learning rate."""
    numbers, losses = [step["step"] for step in steps], [step["loss"] for step in steps]
    points = {"marker": "o", "markersize": 3} if len(steps) <= FEW else {}
    axes.plot(numbers, losses, color=STEP, linewidth=1.2, gid="loss", label="loss of a step", **points)
    axes.plot(numbers, smooth(losses), color=SMOOTHED, linewidth=2, gid="smoothed", label="smoothed")
    if checks := [(step["step"], step["val_loss"]) for step in steps if step.get("val_loss") is not None]:
        look = {"color": VALIDATION, "linewidth": 1.8, "marker": "o", "markersize": 4}
        axes.plot(*zip(*checks, strict=True), **look, gid="validation", label="held-out rows")
        step, loss = min(checks, key=lambda check: check[1])
        ring = {"color": VALIDATION, "marker": "o", "markersize": 10, "markerfacecolor": "none"}
        axes.plot([step], [loss], **ring, linestyle="", gid="lowest", label=f"lowest, {loss:.3f}")
    look = {"color": RATE, "linewidth": 1, "linestyle": ":"}
    rates.plot(numbers, [step["lr"] for step in steps], **look, gid="learning-rate", label="learning rate")


def write(steps: Sequence[dict[str, Any]], target: Path) -> None:
    """Draw the losses of a run into a file."""
    first, last = steps[0]["loss"], steps[-1]["loss"]
    write_atomic(
        target,
        draw(steps, f"Training loss: {first:.3f} to {last:.3f} in {counted(steps[-1]['step'], 'step')}"),
    )
