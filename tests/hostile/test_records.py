"""Records and results of earlier stages whose values have another type: a sentence in every stage."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from osft_workspace import tree_digest
from tests.hostile.runs import again, changed, evaluate, record, register, train, verify
from tests.hostile.table import RUN, Row, check
from tests.support.nesting import nested
from tests.support.sandbox import ROOT, executable
from tests.support.tuned_run import make_tuned_run

DEEP = 50
OTHERS: list[str | None] = [
    None, "null", "true", "-1", "7", "0.5", "1e999", "NaN", "9" * 400, '"text"', r'"\ud800"', "[]", "[1]",
    '["a", null]', "{}", '{"a": {"b": []}}', '[{"uri": 1}]', "[" * DEEP + "]" * DEEP, "[" * 2000 + "]" * 2000,
]  # fmt: skip
"""What stands in place of a value, as JSON text; None: nothing."""
EVERY = 5
"""One in so many of them is put in each place, others in the next."""


def ways(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the keys that lead to each value of a record, one entry of each list."""
    if way:
        yield way
    items = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for key, item in items:
        yield from ways(item, (*way, key))


def changes(run: Path) -> list[str]:
    """Return every change of a run's records and results as a line for `recorded`."""
    lines = []
    files = {stage: f"{stage}/record.json" for stage in ("download", "train", "eval")}
    for name, path in {**files, "results": "eval/results.json"}.items():
        for way in ways(json.loads((run / path).read_text())):
            lines += [json.dumps([name, way, text]) for text in OTHERS[len(lines) % EVERY :: EVERY]]
    return lines


def run_all(lines: list[str], workspace: Path) -> dict[str, Any]:
    done = subprocess.run(
        [executable("register", "python"), "-m", "tests.support.recorded", str(workspace), RUN],
        input="\n".join(lines), capture_output=True, text=True, cwd=ROOT, timeout=500, check=False,
        env={"LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_register_takes_or_rejects_each_value_of_any_type_in_a_record(tmp_path: Path) -> None:
    memory = Path("/dev/shm")  # each of very many starts syncs its files
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        workspace = Path(folder) / "workspace"
        lines = changes(make_tuned_run(workspace, RUN))
        told = run_all(lines, workspace)
    assert not told["bugs"], "\n".join(told["bugs"])
    assert sum(told["codes"].values()) == len(lines) > 1000
    assert told["codes"]["2"] > told["codes"]["0"]


def set_to(value: object, *way: str) -> Any:
    """Return the edit of a record that puts a value in a place of its details."""

    def edit(values: dict[str, Any]) -> None:
        place = values["details"]
        for key in way[:-1]:
            place = place.setdefault(key, {})
        place[way[-1]] = value

    return edit


def detail(command: Any, stage: str, says: str, value: object, *way: str) -> Row:
    """Return a command over a run with a detail of a wrong type."""
    name = f"{'.'.join(way)} as {str(value)[:20]}, {command.__name__}"
    return changed(name, command, record(stage, set_to(value, *way)), f"not a complete record .{says}")


def lacks(command: Any, stage: str, *way: str) -> Row:
    """Return a command over a run whose record lacks a detail."""

    def edit(values: dict[str, Any]) -> None:
        place = values["details"]
        for key in way[:-1]:
            place = place[key]
        del place[way[-1]]

    name = f"no {'.'.join(way)}, {command.__name__}"
    return changed(name, command, record(stage, edit), f"lacks '{way[-1]}' in its details|another training")


def many(run: Path) -> None:
    """Fill a record with as many values as its size allows."""
    path = run / "train" / "record.json"
    path.write_text(path.read_text().rstrip()[:-1] + ',"x":[' + "{}," * 5_000_000 + "{}]}")


def forge(path: Path) -> None:
    """Change what download keeps of encoded rows, and write the digest that belongs to it."""
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"rows_overlap": "x"}))
    path.parent.with_suffix(".digest").write_text(tree_digest(path.parent))


ROWS = [
    detail(train, "download", "details.model.path is \\[\\], expected a text", [], "model", "path"),
    detail(train, "download", "details.tokens is 'x', expected an object", "x", "tokens"),
    detail(train, "download", "details.tokens.settings is \\[\\], expected", [], "tokens", "settings"),
    detail(train, "download", "details.tokens.sets.train is 5, expected", 5, "tokens", "sets", "train"),
    detail(train, "download", "details.rows.dropped_short is 'x'", "x", "rows", "dropped_short"),
    detail(train, "download", "details.rows.dropped_short is -1", -1, "rows", "dropped_short"),
    detail(train, "download", "details.format is {}, expected a text", {}, "format"),
    detail(evaluate, "download", "details.sources\\[0\\] is 'x', expected an object", ["x"], "sources"),
    detail(evaluate, "download", "details.no_held_out is {}", {}, "no_held_out"),
    detail(evaluate, "train", "details.model is null, expected an object", None, "model"),
    detail(evaluate, "train", "details.base is 'x', expected an object", "x", "base"),
    detail(evaluate, "train", "details.base.digest is 1.5, expected a text", 1.5, "base", "digest"),
    detail(evaluate, "train", "details.arguments is \\[1\\], expected an object", [1], "arguments"),
    detail(verify, "train", "details.model.path is 7, expected a text", 7, "model", "path"),
    detail(register, "eval", "details.primary_metric is \\[\\], expected a text", [], "primary_metric"),
    lacks(evaluate, "train", "base"),
    changed(
        "an adapter that train did not leave",
        register,
        record("eval", set_to("cache/models/0", "model", "base")),
        "lacks 'adapter' in its details",
    ),
    changed("a detail nested deep", train, record("download", set_to(nested(90), "x")), "64 levels deep"),
    changed(
        "a metric that is not a number",
        evaluate,
        record("train", lambda values: values["metrics"].update(steps=float("nan"))),
        "NaN is not a JSON number",
    ),
    changed(
        "a metric that is a text",
        evaluate,
        record("train", lambda values: values["metrics"].update(steps="1")),
        "metrics.steps is '1', expected a number",
    ),
    changed(
        "a status that no stage writes",
        register,
        record("train", lambda values: values.update(status="fine")),
        "status is 'fine', expected done, refused or skipped",
    ),
    again("what is kept of rows is of another type", "tokens/*/facts.json", forge, "download encoding", 0),
    changed("millions of values", register, many, "more than 800,000 JSON values"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_records(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
