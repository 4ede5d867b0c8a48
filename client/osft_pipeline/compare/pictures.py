"""The pictures of the comparison as SVG: losses of all runs, and what each learned against what it kept."""

from collections.abc import Sequence
from itertools import pairwise

from osft_pipeline.compare.frame import BOTTOM, LEFT, RIGHT, TOP, Axis, apart, axis_of, frame, safe
from osft_pipeline.local.records import Json
from osft_workspace.words import signed

COLOURS = 8
MOST_POINTS = 100
LABEL = 11.0
"""Height of a letter, in units of the picture."""
LEAST_LOSS, LEAST_GAIN, LEAST_POINTS = 0.05, 0.05, 4.0
"""Range of an axis at least, in nats per token and points: noise must not fill it."""
Point = tuple[float, float]


def colour(index: int) -> str:
    """Return the class of a run's colour."""
    return f"run-{index % COLOURS}"


def losses(runs: Sequence[Json]) -> str:
    """Return training loss and held-out loss of all runs; empty where no run has a training log."""
    series = [(index, one, *curves(one)) for index, one in enumerate(runs) if one["curve"]]
    points = [point for *_, training, held_out in series for point in (*training, *held_out)]
    if not points:
        return ""
    across = Axis(0.0, max(x for x, _ in points), LEFT, RIGHT - LABEL)
    up = axis_of((y for _, y in points), BOTTOM, TOP, LEAST_LOSS)
    ends = apart([up.at((held_out or training)[-1][1]) for *_, training, held_out in series], LABEL)
    drawn = [
        losses_of(index, one, (training, held_out), (across, up), end)
        for (index, one, training, held_out), end in zip(series, ends, strict=True)
    ]
    about = "; ".join(summary(one, training, held_out) for _, one, training, held_out in series)
    return frame(across, up, ("rows read", "loss"), "".join(drawn), f"Losses during training. {about}.")


def curves(one: Json) -> tuple[list[Point], list[Point]]:
    """Return the points of the training loss, averaged where there are many, and of the held-out loss."""
    steps = [(step["rows"], step["loss"]) for step in one["curve"] if step["loss"] is not None]
    size = -(-len(steps) // MOST_POINTS) or 1
    parts = [steps[start : start + size] for start in range(0, len(steps), size)]
    training = [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts]
    checks = [step for step in one["curve"] if step["heldOutLoss"] is not None]
    return training, [(step["rows"], step["heldOutLoss"]) for step in checks]


def losses_of(
    index: int,
    one: Json,
    series: tuple[Sequence[Point], Sequence[Point]],
    axes: tuple[Axis, Axis],
    end: float,
) -> str:
    """Return both lines of a run, and its letter at their right end."""
    across, up = axes
    training, held_out = ([(across.at(x), up.at(y)) for x, y in points] for points in series)
    dots = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in held_out)
    x = (held_out or training)[-1][0]
    return (
        f'<g class="{colour(index)}"><title>{safe(summary(one, *series))}</title>'
        f'<polyline class="training" points="{path(training)}"/>'
        f'<polyline class="held-out" points="{path(held_out)}"/>{dots}'
        f'<text class="letter" x="{x + 5:.1f}" y="{end + 3.5:.1f}">{safe(one["letter"])}</text></g>'
    )


def summary(one: Json, training: Sequence[Point], held_out: Sequence[Point]) -> str:
    """Return the ends of a run's lines in words."""
    said = [
        f"{name} loss {points[0][1]:.3f} to {points[-1][1]:.3f}"
        for name, points in (("training", training), ("held-out", held_out))
        if points
    ]
    return f"{one['letter']} {one['run']}: {', '.join(said)}"


def path(points: Sequence[Point]) -> str:
    """Return the points of a line."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def scatter(runs: Sequence[Json], shown: Sequence[str], front: Sequence[str]) -> str:
    """Return what runs learned against what they kept, with 95 % intervals and the front of the best.

    The base model is where both axes are 0. Empty where no run in `shown` has both figures.
    """
    places = [
        (index, one)
        for index, one in enumerate(runs)
        if one["run"] in shown and one["learned"] and one["kept"]
    ]
    if not places:
        return ""
    gains, points = [0.0], [0.0]
    for _, one in places:
        gains += [-one["learned"]["change"], *(-end for end in one["learned"]["interval"] or ())]
        points += [one["kept"]["points"], *(one["kept"]["interval"] or ())]
    across, up = axis_of(gains, LEFT, RIGHT, LEAST_GAIN), axis_of(points, BOTTOM, TOP, LEAST_POINTS)
    best = {one["run"]: place(one, across, up) for _, one in places if one["run"] in front}
    corners = stairs([best[run] for run in front if run in best])
    base = f'cx="{across.at(0):.1f}" cy="{up.at(0):.1f}"'
    content = (
        f'<line class="zero" x1="{LEFT:g}" y1="{up.at(0):.1f}" x2="{RIGHT:g}" y2="{up.at(0):.1f}"/>'
        f'<line class="zero" x1="{across.at(0):.1f}" y1="{TOP:g}" x2="{across.at(0):.1f}" y2="{BOTTOM:g}"/>'
        f'<circle class="base" {base} r="3"><title>base model</title></circle>'
        f'<text class="below" x="{across.at(0) + 14:.1f}" y="{up.at(0) - 5:.1f}">base</text>'
        f'<polyline class="front" points="{path(corners)}"><title>Pareto front</title></polyline>'
        f"{''.join(spot(index, one, across, up) for index, one in places)}"
    )
    about = "; ".join(spot_words(one) for _, one in places)
    names = ("fall of held-out loss \u2192", "change in retention, points \u2191")
    return frame(across, up, names, content, f"What was learned against what was kept. {about}.")


def place(one: Json, across: Axis, up: Axis) -> Point:
    """Return where a run is drawn."""
    return across.at(-one["learned"]["change"]), up.at(one["kept"]["points"])


def stairs(points: Sequence[Point]) -> list[Point]:
    """Return the corners of the front, from the axis below to the one at the left; `points` right to left."""
    found = [(points[0][0], BOTTOM), points[0]] if points else []
    for before, after in pairwise(points):
        found += [(after[0], before[1]), after]
    return found and [*found, (LEFT, found[-1][1])]


def spot(index: int, one: Json, across: Axis, up: Axis) -> str:
    """Return a run's point, letter and intervals."""
    x, y = place(one, across, up)
    bars = ""
    if one["learned"]["interval"]:
        low, high = sorted(across.at(-end) for end in one["learned"]["interval"])
        bars += f'<line class="range" x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}"/>'
    if one["kept"]["interval"]:
        low, high = (up.at(end) for end in one["kept"]["interval"])
        bars += f'<line class="range" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>'
    return (
        f'<g class="{colour(index)}"><title>{safe(spot_words(one))}</title>{bars}'
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        f'<text class="letter" x="{x + 7:.1f}" y="{y - 6:.1f}">{safe(one["letter"])}</text></g>'
    )


def spot_words(one: Json) -> str:
    """Return what a run learned and kept."""
    change, points = signed(one["learned"]["change"], 3), signed(one["kept"]["points"])
    return f"{one['letter']} {one['run']}: held-out loss {change}, retention {points} points"
