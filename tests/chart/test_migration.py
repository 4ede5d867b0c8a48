"""docs/migration.md: each parameter of other systems has a key, and its value arrives as the table says."""

import ast
import functools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import ROOT, SECTIONS, Object, one, render, stage_pods
from tests.chart.test_schema import SCHEMA, resolved
from tests.chart.test_schema import VALUES as VALUES_OF_CHART
from tests.support.sandbox import executable

PAGE = (ROOT / "docs" / "migration.md").read_text()
VALUES = ROOT / "tests" / "chart" / "values"
REFERENCE: dict[str, list[str]] = yaml.safe_load((VALUES / "reference.yaml").read_text())
EVERYTHING = [VALUES / "everything-cluster.yaml", VALUES / "everything-hooks.yaml"]


def rows() -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield section, their name, our key, places of every row."""
    section = ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").replace("`", "")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if cells and cells[0] != "theirs":
            theirs = (re.match(r"`([^`]+)`", cells[0]) or re.match(r"(.*)", cells[0]))[1]  # type: ignore[index]
            places = re.findall(r"`([^`]+)`", cells[2]) if len(cells) > 2 else []
            yield section, theirs, cells[1], places


ROWS = [
    (section, theirs, ours.split("`")[1], places)
    for section, theirs, ours, places in rows()
    if not ours.startswith(("`helm ", "none: "))
]
MISSING = object()


@functools.cache
def rendered(path: Path | None) -> list[Object]:
    """Return the objects of a values file, or of the defaults; do not change them."""
    return render(path)


@functools.cache
def values_of(path: Path) -> Object:
    """Return a values file."""
    loaded: Object = yaml.safe_load(path.read_text())
    return loaded


def look_up(values: Any, path: str) -> Any:
    """Return the value at a dotted path, or MISSING."""
    for key in path.split("."):
        values = values.get(key, MISSING) if isinstance(values, dict) else MISSING
    return values


def osft_parameters() -> set[str]:
    """Return parameters of training_hub.osft() as installed for the train stage."""
    (source,) = ROOT.glob(".venvs/train/lib/python3*/site-packages/training_hub/algorithms/osft.py")
    tree = ast.parse(source.read_text())
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "osft"]
    arguments = function.args
    names = {argument.arg for argument in [*arguments.args, *arguments.kwonlyargs]}
    return names | ({arguments.kwarg.arg} if arguments.kwarg else set())


@pytest.mark.parametrize("section", REFERENCE)
def test_every_parameter_of_another_system_has_a_row(section: str) -> None:
    listed = {theirs for where, theirs, _, _ in rows() if where == section}
    assert set(REFERENCE[section]) <= listed
    # What the pipeline fixed when it was compiled stands in a table of its own.
    assert section.startswith("The OSFT pipeline") or listed == set(REFERENCE[section])


def test_every_parameter_of_osft_has_a_row() -> None:
    listed = {theirs for where, theirs, _, _ in rows() if where == "training_hub.osft()"}
    assert listed == osft_parameters() | {"osft"}, "`osft` is a field of the engine with a key of its own"
    assert len(listed) > 45


@pytest.mark.parametrize("key", sorted({key for _, _, key, _ in ROWS}))
def test_every_key_of_the_tables_is_in_the_schema(key: str) -> None:
    schema = SCHEMA
    for part in key.split("."):
        if "properties" not in schema:  # a map of the user's own, such as resources.requests
            return
        assert part in schema["properties"], key
        schema = resolved(schema["properties"][part])


def test_a_parameter_without_a_key_has_a_reason() -> None:
    reasons = [ours for _, _, ours, _ in rows() if ours.startswith("none")]
    assert len(reasons) > 10
    assert [ours for ours in reasons if not re.match("none: .{20}", ours)] == []


def test_names_that_go_to_the_engine_are_among_those_that_training_checks() -> None:
    """Training refuses a name that the engine lacks; see the check of the stages below."""
    for _, theirs, ours, _ in rows():
        if ours.startswith("`train.extraArgs`"):
            named = re.findall(r"`([^`]+)`", ours)[1:]
            assert named and set(named) <= set(values_of(EVERYTHING[0])["train"]["extraArgs"]), theirs


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: path.stem)
@pytest.mark.parametrize("stage", SECTIONS)
def test_the_stages_accept_every_value_of_the_tables(stage: str, path: Path, tmp_path: Path) -> None:
    """These files set each of them. A stage refuses a value that it would ignore or misread."""
    pod = stage_pods(rendered(path))[stage]
    env = {name: value if isinstance(value, str) else "from-a-secret" for name, value in pod.env.items()}
    # The paths are of the pod; the first may hold no task file.
    settings = tmp_path / "training_config.yaml"
    settings.write_text("training_config: {}")
    args = [arg.replace("include-path=/tasks", f"include-path={tmp_path}") for arg in pod.args]
    args = [f"--training-config={settings}" if "--training-config" in arg else arg for arg in args]
    done = subprocess.run(
        [executable(stage), "--check", *(arg.replace("$$", "$") for arg in args)],
        env={**env, "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{stage} all is well" in done.stdout + done.stderr


def written(value: Any) -> list[str]:
    """Return what a flag says for a value: one text for each time it is given."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)]


def flag_holds(args: list[str], flag: str, value: Any) -> bool:
    """Return whether a stage's arguments hold a value under a flag."""
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{flag}" in args
    said = [arg.partition("=")[2].replace("$$", "$") for arg in args if arg.startswith(f"--{flag}=")]
    if isinstance(value, (int, float)):
        return said != ["auto"] and [float(text) for text in said] == [float(value)]
    if isinstance(value, dict):
        return [json.loads(text) for text in said] == [value]
    if flag == "columns":
        return any(value in json.loads(text).values() for text in said)
    return said == written(value) or (
        isinstance(value, list) and said == [json.dumps(value, separators=(",", ":"))]
    )


def env_holds(env: dict[str, Any], value: Any) -> bool:
    """Return whether environment holds a map of the user's."""
    return all(env.get(name) == text for name, text in value.items())


def thing_holds(found: Any, value: Any) -> bool:
    """Return whether an object's field is a value or contains it."""
    if isinstance(found, list) and isinstance(value, list):
        return all(item in found or {"name": item} in found for item in value)
    if isinstance(found, dict):
        entries = value.items() if isinstance(value, dict) else []
        return (
            value in found.values() if not entries else all(found.get(key) == text for key, text in entries)
        )
    return bool(found == value or (isinstance(found, str) and found.startswith(f"{value}:")))


def arrives(objects: list[Object], place: str, value: Any) -> bool:
    """Return whether a value stands where the table says."""
    who, *where = place.split(" ")
    stages = stage_pods(objects)
    if who.startswith("osft-"):
        return flag_holds(stages[who.removeprefix("osft-")].args, where[0].removeprefix("--"), value)
    if who not in SECTIONS:
        return thing_holds(look_up(one(objects, who), where[0]), value)
    pod = stages[who]
    if where[0] == "env":
        found = pod.env[where[1]]
        return value in found["secretKeyRef"].values() if isinstance(found, dict) else found == value
    if where == ["container", "env"]:
        return env_holds(pod.env, value)
    template = {"metadata": {"labels": pod.labels, "annotations": pod.annotations}, "spec": pod.spec}
    return thing_holds(look_up(pod.container if where[0] == "container" else template, where[1]), value)


@pytest.mark.parametrize(("theirs", "key", "places"), [row[1:] for row in ROWS], ids=[row[1] for row in ROWS])
def test_a_value_arrives_where_the_table_says(theirs: str, key: str, places: list[str]) -> None:
    assert places, f"{theirs}: the table says no place"
    for path in EVERYTHING:
        value = look_up(values_of(path), key)
        if value in (MISSING, "", None, look_up(VALUES_OF_CHART, key)):
            continue
        for place in places:
            assert arrives(rendered(path), place, value), f"{key}={value!r} is not at {place}"
            # The value is one of its own: the defaults do not say the same.
            assert not arrives_by_default(place, value)
        return
    raise AssertionError(f"{key} is set by neither file of {VALUES}")


def arrives_by_default(place: str, value: Any) -> bool:
    """Return whether the place holds the value by default."""
    try:
        return arrives(rendered(None), place, value)
    except KeyError:
        return False


def test_a_value_that_does_not_arrive_is_noticed() -> None:
    objects = rendered(None)
    for place, value in (
        ("osft-train --learning-rate", 0.5),
        ("osft-train --save-final-checkpoint", False),
        ("osft-download --uri", ["hf://org/other"]),
        ("train container env", {"A": "b"}),
        ("train pod metadata.labels", {"a": "b"}),
        ("TrainJob spec.trainer.numNodes", 4),
        ("TrainJob metadata.labels", "research"),
    ):
        assert not arrives(objects, place, value), place
