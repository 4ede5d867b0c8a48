"""The comparison on a terminal: a line for each run, what was tested, and which run to ship."""

import shutil
import sys
from collections.abc import Mapping, Sequence

from osft_pipeline.compare.values import text
from osft_pipeline.local.records import Json
from osft_pipeline.local.summary import bold, filled, short, size, table
from osft_pipeline.terminal import plain
from osft_workspace.log import duration
from osft_workspace.words import NONE, equals, signed

LEFT_OUT = ("memory", "mix", "time", "verdict", "method")
"""Columns that a narrow terminal leaves out: the first one first, those of equal cells before others.

Values that differ go last: they are what the runs are compared for."""
RIGHT = ("held-out loss", "retention", "mix", "time", "memory")
LONGEST_VALUE = 24
GAP, INDENT = 3, 2
WIDTH_OF_A_FILE = 200


def screen(found: Json) -> str:
    """Return the whole comparison as text."""
    parts = [
        lines(found, columns()),
        "\n".join(filled(test_line(test, found["runs"]), "  ") for test in found["tests"] if is_clear(test)),
        "\n".join(filled(plain(note), "") for note in found["notes"]),
        bold(filled(plain(found["choice"]["why"]), "")),
    ]
    return "\n\n".join(part for part in parts if part)


def columns() -> int:
    """Return the width of the terminal; a file has a width in which nothing is left out."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH_OF_A_FILE


def lines(found: Json, columns: int) -> str:
    """Return a line for each run, as many of its columns as fit."""
    names = short_names([*found["values"]])
    rows = [cells(one, found["values"], names) for one in found["runs"]]
    equal = [name for name in LEFT_OUT if len({row[name] for row in rows}) == 1]
    others = [name for name in LEFT_OUT if name not in equal]
    shown = fitting(rows, columns, [*equal, *others, *reversed(names.values())])
    shapes = "".join(">" if name in RIGHT else "<" for name in shown)
    told = table([shown, *([row[name] for name in shown] for row in rows)], shapes)
    missing = [name for name in rows[0] if name not in shown]
    hint = f"Not shown on {columns} columns: {', '.join(missing)} (--json has all)." if missing else ""
    return "\n".join(part for part in (told, filled(hint, "")) if part)


def fitting(rows: Sequence[Mapping[str, str]], columns: int, left_out: Sequence[str]) -> list[str]:
    """Return the names of the columns that fit."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    shown = list(widths)
    for name in left_out:
        if INDENT + sum(widths[one] + GAP for one in shown) - GAP <= columns:
            break
        shown.remove(name)
    return shown


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or the key where two end in the same or a column has that name."""
    ends = [key.rpartition(".")[2] for key in keys]
    return {
        key: end if ends.count(end) == 1 and end not in (*LEFT_OUT, *RIGHT, "run") else key
        for key, end in zip(keys, ends, strict=True)
    }


def cells(one: Json, values: Mapping[str, Json], names: Mapping[str, str]) -> dict[str, str]:
    """Return a run's cells by column."""
    learned, kept = one["learned"], one["kept"]
    own = {
        names[key]: short(plain(text(found[one["run"]])), LONGEST_VALUE) if one["run"] in found else NONE
        for key, found in values.items()
    }
    return {
        "run": f"{one['letter']} {plain(one['run'])}",
        "method": plain(one["method"] or NONE),
        **own,
        "held-out loss": f"{learned['base']:.3f} to {learned['tuned']:.3f}" if learned else NONE,
        "retention": retention(kept) if kept else NONE,
        "verdict": plain(one["verdict"] or one["state"]),
        "mix": f"{100 * one['mixShare']:.4g} %" if one["mixShare"] is not None else NONE,
        "time": duration(one["seconds"]),
        "memory": size(one["peakMemoryBytes"]) if one["peakMemoryBytes"] else NONE,
    }


def retention(kept: Json) -> str:
    """Return both values in percent, and the change in points."""
    return f"{100 * kept['base']:.1f} to {100 * kept['tuned']:.1f} % ({signed(kept['points'])})"


def is_clear(test: Json) -> bool:
    """Return whether a test found a difference."""
    return bool(test["verdict"] != "unchanged")


def test_line(test: Json, runs: Sequence[Json]) -> str:
    """Return a test in words."""
    letters = {one["run"]: one["letter"] for one in runs}
    digits = 1 if test["unit"] == "points" else 3
    return (
        f"{plain(test['title'])}: {letters[test['b']]} is {test['verdict']} than {letters[test['a']]}, "
        f"{signed(test['difference'], digits)} {test['unit']} (p {equals(test['pAdjusted'])})."
    )
