"""Writes the tables and the pictures of docs/forgetting.md from the results."""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from osft_forgetting.analysis import Mean, beside, point
from osft_forgetting.results import Line

BEGIN, END = "<!-- measured: written by benchmarks/forgetting table -->", "<!-- end of what was measured -->"
PLAIN = "sft"
"""The method that the others are compared with."""
COLORS = {"sft": "#c2410c", "osft": "#2563eb", "lora": "#15803d"}


def write(document: Path, pictures: Path, lines: Sequence[Line], chains: Sequence[Line]) -> None:
    """Replace what stands between the marks of a document, and draw a picture for each kind of rows."""
    text = document.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    parts = [f"{BEGIN}\n"]
    for data, group in groups(lines, "data"):
        file = pictures / f"forgetting-{data}.svg"
        draw(file, group)
        parts += [
            f"### Rows: {data}\n",
            f"![What was learned and what was kept]({file.name})\n",
            table(group),
        ]
    if chains:
        parts += [f"### Three tasks in a row: {', '.join(chains[0]['tasks'])}\n", chain_table(chains)]
    document.write_text(before + "\n".join([*parts, ""]) + END + after, encoding="utf-8")


def groups(lines: Sequence[Line], *names: str) -> Iterator[tuple[str, list[Line]]]:
    """Yield the lines that have the same values, in order."""

    def key(line: Line) -> tuple[object, ...]:
        return tuple(line[name] for name in names)

    for value, group in itertools.groupby(sorted(lines, key=key), key):
        yield str(value[0]), list(group)


def table(lines: Sequence[Line]) -> str:
    """Return a row for each method and learning rate, without and with the mix."""
    rows = [
        "| method | learning rate | mix | share | fall of the held-out loss | retention, points | "
        f"{PLAIN} at the same loss | seeds | minutes | GiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for _, group in groups(lines, "method", "learning_rate"):
        rows += [row(lines, group, which) for which in ("tuned", "mix")]
    return "\n".join(rows) + "\n"


def chain_table(lines: Sequence[Line]) -> str:
    """Return a row for each method, without and with the mix."""
    rows = [
        "| method | learning rate | mix | average loss | backward transfer | retention, points | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, group in groups(lines, "method", "learning_rate", "mix"):
        first = group[0]
        kept = [100 * (after - before) for before, after in (line["kept"] for line in group)]
        cells = [
            first["method"],
            rate(first),
            first["mix"],
            Mean.of([line["average_loss"] for line in group]).shown(3),
            Mean.of([line["backward_transfer"] for line in group]).shown(3, sign=True),
            Mean.of(kept).shown(1, sign=True),
            str(len(group)),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def rate(line: Line) -> str:
    """Return the learning rate as a table shows it."""
    return f"{line['learning_rate']:.0e}".replace("e-0", "e-")


def row(lines: Sequence[Line], group: Sequence[Line], which: str) -> str:
    """Return one row of the table."""
    first, points = group[0], [point(line, which) for line in group]
    same = beside(lines, group, which, PLAIN)
    mixed = which == "mix"
    share = f"{statistics.fmean(line['mix']['share'] for line in group):.2f}" if mixed else ""
    cells = [
        first["method"],
        rate(first),
        "auto" if mixed else "off",
        share,
        Mean.of([gain for gain, _ in points]).shown(3),
        Mean.of([kept for _, kept in points]).shown(1, sign=True),
        Mean.of([other for _, other in same]).shown(1, sign=True)
        if len(same) == len(group)
        else "not reached",
        str(len(group)),
        "" if mixed else f"{statistics.median(line['seconds'] for line in group) / 60:.1f}",
        "" if mixed else f"{max(line['memory_gib'] for line in group):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def draw(file: Path, lines: Sequence[Line]) -> None:
    """Draw what was learned against what was kept: means over seeds, by method, with and without the mix."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    # Neither a date nor random ids: the same results give the same file.
    mpl.rcParams.update({"svg.hashsalt": file.name, "svg.fonttype": "none"})
    figure, axes = plt.subplots(figsize=(7, 4))
    for method, own in groups(lines, "method"):
        for which, line_style, marker in (("tuned", "-", "o"), ("mix", "", "D")):
            means = [mean_point(group, which) for _, group in groups(own, "learning_rate")]
            label = f"{method}, {'mix' if which == 'mix' else 'tuned model'}"
            axes.plot(*zip(*means, strict=True), line_style, marker=marker, color=COLORS[method], label=label)
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set_xlabel("fall of the held-out loss, nats per token")
    axes.set_ylabel("change of retention, points")
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    # Matplotlib leaves spaces at the ends of lines.
    file.write_text("\n".join(line.rstrip() for line in file.read_text().splitlines()) + "\n")


def mean_point(group: Sequence[Line], which: str) -> tuple[float, float]:
    """Return the mean of what was learned and of what was kept."""
    points = [point(line, which) for line in group]
    return statistics.fmean(gain for gain, _ in points), statistics.fmean(kept for _, kept in points)
