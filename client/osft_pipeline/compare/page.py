"""The comparison as one page: no script, no request, and the style of the forgetting report."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from osft_pipeline.chart import PACKAGE
from osft_pipeline.compare.frame import safe
from osft_pipeline.compare.pictures import colour, losses, scatter
from osft_pipeline.compare.table import retention
from osft_pipeline.compare.values import text
from osft_pipeline.local.records import Json
from osft_pipeline.local.summary import size
from osft_workspace.log import duration
from osft_workspace.text import counted
from osft_workspace.words import NONE, capital, p_text, signed

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STAGES = ("download", "train", "eval", "register")


def report_style() -> str:
    """Return the style of the forgetting report: the copy in this package, or the checkout's."""
    carried = PACKAGE / "compare" / "report.css"
    own = PACKAGE.parents[1] / "images" / "eval" / "osft_eval" / "report" / "style.css"
    return (carried if carried.is_file() else own).read_text()


def page(found: Json) -> str:
    """Return the whole page as HTML."""
    style = report_style() + (Path(__file__).parent / "page.css").read_text()
    count = counted(len(found["runs"]), "run")
    chosen = found["choice"]["run"]
    title = f"Ship {chosen}" if chosen else "No run to ship"
    why = capital(found["choice"]["why"].removeprefix(f"{title}: "))
    sections = "\n".join(filter(None, parts(found)))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{safe(title)}: comparison of {count}</title>
<style>
{style}
</style>
</head>
<body>
<header>
  <p class="over">Comparison of {count}</p>
  <h1>{safe(title)}</h1>
  <p class="lead">{safe(why)}</p>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def parts(found: Json) -> Iterator[str]:
    """Yield the sections, empty where there is nothing to show."""
    runs = found["runs"]
    yield section("runs", "The runs", "", table(HEAD, [run_cells(one) for one in runs], rows(found)))
    yield section("values", "Values that differ", *values(found))
    curves = losses(runs)
    lines = "Solid: training loss, averaged where there are many steps. Dashed: loss of held-out rows."
    yield section("losses", "Losses during training", lines, curves) if curves else ""
    points = scatter(runs, found["comparable"], found["front"])
    explained = (
        "Right is more learned, up is more kept; the base model is where the dotted lines cross. Bars are "
        "95 % confidence intervals. The line is the Pareto front: no run is right of it and above it."
    )
    yield section("front", "Learned against kept", explained, points) if points else ""
    yield section("tests", "Tests between the runs", *tests(found))
    yield section("costs", "Time and peak memory", "", costs(runs))
    listed = "".join(f"<li>{safe(note)}</li>" for note in found["notes"])
    yield section("notes", "What could not be compared", "", f"<ul>{listed}</ul>") if listed else ""


def section(name: str, title: str, intro: str, content: str) -> str:
    """Return a section with its heading."""
    said = f"<p>{safe(intro)}</p>" if intro else ""
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{said}{content}\n</section>'


def table(head: Sequence[str], lines: Sequence[Sequence[str]], classes: Sequence[str]) -> str:
    """Return a table whose first column names the row; cells are HTML. A narrow window stacks the cells.

    Roles are written out, because cells that are stacked lose theirs.
    """
    top = "".join(f'<th scope="col" role="columnheader">{safe(name)}</th>' for name in head)
    body = "".join(
        f'<tr role="row" class="{of_row}"><th scope="row" role="rowheader">{cells[0]}</th>'
        + "".join(
            f'<td role="cell" data-label="{safe(name)}"><span>{cell}</span></td>'
            for name, cell in zip(head[1:], cells[1:], strict=True)
        )
        + "</tr>"
        for cells, of_row in zip(lines, classes, strict=True)
    )
    return (
        f'<div class="scroll" role="region" aria-label="{safe(head[0])}" tabindex="0">'
        f'<table class="stacked" role="table"><thead role="rowgroup"><tr role="row">{top}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


HEAD = ("Run", "Method", "Held-out loss", "Retention", "Verdict", "Mix", "Time", "Peak memory")


def rows(found: Json) -> list[str]:
    """Return the class of each run's row: its colour, and whether it is the one to ship."""
    return [
        f"{colour(index)}{' ship' if one['run'] == found['choice']['run'] else ''}"
        for index, one in enumerate(found["runs"])
    ]


def name_of(one: Json) -> str:
    """Return a run's letter and name."""
    return f'<span class="mark">{safe(one["letter"])}</span> {safe(one["run"])}'


def run_cells(one: Json) -> list[str]:
    """Return a run's row of the first table."""
    learned, kept, mix = one["learned"], one["kept"], one["mixShare"]
    loss = f"{learned['base']:.3f} to {learned['tuned']:.3f}" if learned else NONE
    memory = size(one["peakMemoryBytes"]) if one["peakMemoryBytes"] else NONE
    share = f"{100 * mix:.4g} % of the tuned weights" if mix is not None else NONE
    texts = (
        one["method"] or NONE,
        loss,
        retention(kept) if kept else NONE,
        one["headline"] or one["state"],
        share,
        duration(one["seconds"]),
        memory,
    )
    return [name_of(one), *map(safe, texts)]


def values(found: Json) -> tuple[str, str]:
    """Return the section on values: a sentence where none differs, otherwise a table with a row for each."""
    if not found["values"]:
        return "No value that the records keep differs.", ""
    runs = found["runs"]
    lines = [
        [
            safe(key).replace(".", ".<wbr>"),
            *(safe(text(own[one["run"]]) if one["run"] in own else NONE) for one in runs),
        ]
        for key, own in found["values"].items()
    ]
    return "", table(["Value", *(one["letter"] for one in runs)], lines, [""] * len(lines))


def tests(found: Json) -> tuple[str, str]:
    """Return the section on paired tests."""
    if not found["tests"]:
        return "No two runs have scores of the same items.", ""
    letters = {one["run"]: one["letter"] for one in found["runs"]}
    lines = []
    for test in found["tests"]:
        digits = 1 if test["unit"] == "points" else 3
        ends = test["interval"]
        between = f"{signed(ends[0], digits)} to {signed(ends[1], digits)}" if ends else NONE
        reading = {"unchanged": "no clear difference"}.get(
            test["verdict"], f"{letters[test['b']]} is {test['verdict']}"
        )
        cells = (
            f"{letters[test['b']]} against {letters[test['a']]}: {test['title']}",
            f"{test['items']:,}",
            f"{signed(test['difference'], digits)} {test['unit']}",
            between,
            p_text(test["pAdjusted"]),
        )
        lines.append([*map(safe, cells), f'<span class="{test["verdict"]}">{safe(reading)}</span>'])
    intro = (
        "The tuned models on the same items: McNemar's test where items are right or wrong, otherwise a "
        "paired t test. p is corrected over all tests of this table (Holm); below 0.05 a difference is "
        "called clear."
    )
    head = ("Test", "Items", "Difference", "95 % interval", "p", "Reading")
    return intro, table(head, lines, [""] * len(lines))


def costs(runs: Sequence[Json]) -> str:
    """Return time and memory of each stage."""
    lines = []
    for one in runs:
        cells = [name_of(one)]
        for name in STAGES:
            stage = one["stages"].get(name)
            memory = f", {size(stage['peakMemoryBytes'])}" if stage and stage["peakMemoryBytes"] else ""
            cells.append(safe(f"{duration(stage['seconds'])}{memory}" if stage else NONE))
        lines.append(cells)
    return table(("Run", *STAGES), lines, [colour(index) for index in range(len(runs))])
