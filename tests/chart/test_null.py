"""`key: null`, or an empty key in YAML, means the default of that key: for every key of values.yaml."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import (
    CHART,
    DATA,
    HOOKS,
    REGISTRY,
    ROOT,
    SECTIONS,
    STAGES,
    HelmError,
    Object,
    overlay,
    parse,
    refusal,
    render,
    run_helm,
    stage_pods,
)
from tests.chart.test_schema import SCHEMA, VALUES

FILES = [ROOT / "tests" / "chart" / "values" / f"everything-{name}.yaml" for name in ("cluster", "hooks")]
HELMS = ("helm3", "helm4")
# What these say has no default: the first two always, the third with ordering hooks.
GIVEN = ("data.uri", "images.registry", "hooks.timeoutMinutes")
ASKED = {("data",), ("images",)}
"""Sections that hold a key without a default."""


def keys(values: Object, *above: str) -> Iterator[tuple[str, ...]]:
    """Yield every key at every depth, those of maps too."""
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from keys(value, *above, key)


KEYS = [key for key in keys(VALUES) if ".".join(key) not in GIVEN]


def at(key: tuple[str, ...], value: Any) -> Object:
    """Return values with one key."""
    for name in reversed(key):
        value = {name: value}
    return dict(value)


def nulls(wanted: list[tuple[str, ...]]) -> Object:
    """Return values with null at each of these keys; a map with a key in it is not null itself."""
    deepest = [key for key in wanted if not any(other[: len(key)] == key != other for other in wanted)]
    return overlay(*(at(key, None) for key in deepest))


def text(helm: str, values: Object) -> str:
    """Return the exact text that helm renders. Raises HelmError."""
    return run_helm(helm, ("template", "run1", str(CHART)), json.dumps(values, sort_keys=True))


def shown(helm: str, values: Object) -> str:
    """Return the text that helm renders, or its error."""
    try:
        return text(helm, values)
    except HelmError as error:
        return f"error: {error}"


def test_every_key_of_values_yaml_is_looked_at() -> None:
    assert len(KEYS) > 270
    assert {("data",), ("eval", "gates"), ("train", "adamw"), ("stageDefaults", "labels"), ("global",)} <= {
        *KEYS
    }
    assert ("data", "pod", "resources", "requests", "cpu") in KEYS


def groups() -> Iterator[list[tuple[str, ...]]]:
    """Yield every map alone, and all other keys in sixes, which saves five of six renderings."""
    maps = {key[:-1] for key in KEYS}
    rest = [key for key in KEYS if key not in maps]
    yield from ([key] for key in KEYS if key in maps and key not in ASKED)
    step = len(rest) // 6 + 1
    yield from (rest[start::step] for start in range(step))


def test_each_key_may_be_null() -> None:
    """One group with Helm 3, the next with Helm 4; the tests below put all keys to both."""
    expected = {helm: text(helm, DATA) for helm in HELMS}

    def other(number: int, group: list[tuple[str, ...]]) -> str:
        helm = HELMS[number % 2]
        words = shown(helm, overlay(nulls(group), DATA))
        return "" if words == expected[helm] else f"{helm} {group}: {words[:300]}"

    jobs = list(groups())
    assert {key for group in jobs for key in group} == {*KEYS} - ASKED
    with ThreadPoolExecutor(2) as pool:
        assert not [*filter(None, pool.map(other, range(len(jobs)), jobs))]


@pytest.mark.parametrize("helm", HELMS)
def test_a_section_without_its_address_asks_for_it(helm: str) -> None:
    said = shown(helm, {"data": None, "images": None})
    assert "data.uri is empty" in said and "images.registry is empty" in said


@pytest.mark.parametrize("helm", HELMS)
def test_all_keys_of_a_section_may_be_null(helm: str) -> None:
    expected = text(helm, DATA)
    for section, group in groupby(KEYS, key=lambda key: key[0]):
        assert shown(helm, overlay(nulls([*group]), DATA)) == expected, section


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("given", [DATA, overlay(HOOKS, DATA)], ids=["cluster", "hooks"])
def test_all_keys_may_be_null(given: Object, helm: str) -> None:
    assert shown(helm, overlay(nulls(KEYS), given)) == text(helm, given)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_null_takes_back_what_another_file_says(path: Any) -> None:
    """The words of an earlier values file go, and the default is there again; each Helm takes every other."""
    sections = (
        "model",
        *SECTIONS.values(),
        "stageDefaults",
        "secrets",
        "images",
        "workspace",
        "preflight",
    )
    for number, section in enumerate(sections):
        helm = HELMS[number % 2]
        said = yaml.safe_load(path.read_text())
        mine = said.pop(section, None)
        if mine is None:
            continue
        null = nulls([key for key in KEYS if key[0] == section])
        for other in (null, {section: None}):
            given = DATA if (section,) in ASKED else {}
            assert shown(helm, overlay(said, given, other, given)) == shown(helm, overlay(said, given)), (
                section
            )


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("value", ["", None])
def test_what_has_no_default_is_asked_for(value: Any, helm: str) -> None:
    assert "data.uri is empty. Set it to hf://" in refusal({"data": {"uri": value}}, helm=helm)
    assert "hooks.timeoutMinutes is empty" in refusal(
        overlay(HOOKS, {"hooks": {"timeoutMinutes": value or None}}), helm=helm
    )


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("values", [{"gpus": None}, None], ids=["key", "section"])
def test_gpus_that_are_null_never_mean_the_cpu(values: Any, helm: str) -> None:
    pod = stage_pods(render({"train": values}, helm=helm))["train"]
    assert pod.flag("gpus") == ["1"]
    assert pod.container["resources"]["limits"]["nvidia.com/gpu"] == 1


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("section", [*SECTIONS.values(), "preflight"])
def test_null_under_the_pod_of_a_stage_means_what_all_stages_have(section: str, helm: str) -> None:
    own = dict.fromkeys(SCHEMA["definitions"]["pod"]["properties"])
    assert shown(helm, overlay(DATA, {section: {"pod": own}})) == text(helm, DATA)


def test_null_works_on_the_command_line() -> None:
    for helm in HELMS:
        flags = (
            "--set",
            f"data.uri=hf://org/dataset,images.registry={REGISTRY}",
            "--set",
            "train.gpus=null,eval.gates=null,train.adamw=null",
        )
        assert run_helm(helm, ("template", "run1", str(CHART), *flags), "{}") == text(helm, DATA)


def test_notes_are_the_same() -> None:
    flags = ("install", "run1", str(CHART), "--dry-run=client")
    plain, null = (
        run_helm("helm4", flags, json.dumps(values)).partition("NOTES:")[2]
        for values in (DATA, overlay(nulls(KEYS), DATA))
    )
    assert plain and null == plain


def test_the_chart_s_copy_of_its_defaults_is_values_yaml() -> None:
    assert yaml.safe_load((CHART / "defaults.yaml").read_text()) == VALUES


def test_the_copy_of_a_released_chart_names_its_images_too(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path / "chart")
    digests = [f"{stage}=sha256:{number:064x}" for number, stage in enumerate(STAGES, 1)]
    command = [ROOT / "scripts" / "pin-images", f"--chart={tmp_path / 'chart'}", "a.example/b"]
    subprocess.run([*command, *digests], check=True)
    flags = ("template", "run1", str(tmp_path / "chart"), "--set", "images=null")
    images = [
        pod.container["image"]
        for pod in stage_pods(parse(run_helm("helm4", flags, json.dumps(DATA)))).values()
    ]
    assert len(images) > 4
    assert all(image.startswith("a.example/b/") and "@sha256:0" in image for image in images)


def test_every_template_begins_by_filling_in_the_defaults() -> None:
    for path in sorted((CHART / "templates").rglob("*")):
        if path.is_file() and path.suffix in (".yaml", ".txt"):
            first = next(
                line
                for line in path.read_text()
                .partition("*/}}")[2 if "*/}}" in path.read_text() else 0]
                .splitlines()
                if line
            )
            assert first == '{{- include "osft-pipeline.defaults" . }}', path
