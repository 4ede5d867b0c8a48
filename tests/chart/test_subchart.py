"""The chart as a dependency of another chart, as GitOps repositories have it, under both helms."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import (
    BIN,
    CHART,
    DATA,
    EXAMPLES,
    IMAGES,
    Object,
    overlay,
    refusal,
    render,
    stage_pods,
)
from tests.chart.test_null import KEYS, nulls

HELMS = ("helm3", "helm4")
NAME = "osft-pipeline"
Render = Callable[..., list[Object]]
# Data for any parser: text, numbers, lists, maps, null.
GLOBAL = {
    "imageRegistry": "registry.example.com",
    "n": 3,
    "list": [1, {"a": None}],
    "map": {"deep": {"er": True}},
}


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    """Each helm in turn."""
    return str(request.param)


@pytest.fixture
def parent(tmp_path: Path, helm: str) -> Render:
    """Renders a parent chart, with values given by the user and values of the parent's own values.yaml."""
    folder = tmp_path / "parent"
    shutil.copytree(CHART, folder / "charts" / NAME)

    def rendered(
        given: Object, own: Object | None = None, flags: Sequence[str] = (), **dependency: Any
    ) -> list[Object]:
        named = {"name": NAME, "version": "*", "repository": "", **dependency}
        chart = {"apiVersion": "v2", "name": "wrapper", "version": "0.1.0", "dependencies": [named]}
        (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
        (folder / "values.yaml").write_text(yaml.safe_dump(own or {}))
        (tmp_path / "given.yaml").write_text(yaml.safe_dump(given))
        command = [
            BIN / helm,
            "template",
            "run1",
            folder,
            "--namespace=team",
            f"--values={tmp_path / 'given.yaml'}",
        ]
        done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [thing for thing in yaml.safe_load_all(done.stdout) if thing]

    return rendered


def test_the_objects_are_those_of_the_chart_alone(parent: Render, helm: str) -> None:
    alone = render(helm=helm)
    assert parent({NAME: DATA}) == alone
    assert parent({NAME: DATA, "global": GLOBAL}) == alone
    assert parent({NAME: overlay(DATA, {"global": GLOBAL})}) == alone
    assert parent({"global": {}}, own={NAME: DATA, "global": GLOBAL}) == alone


def test_a_condition_switches_the_whole_chart(parent: Render, helm: str) -> None:
    condition = {"condition": f"{NAME}.enabled"}
    for given in ({}, {"enabled": True}):
        assert parent({NAME: overlay(DATA, given)}, **condition) == render(helm=helm)
    assert parent({NAME: overlay(DATA, {"enabled": False})}, **condition) == []
    # Nothing of the chart is looked at then, not even that the rows have no address.
    assert parent({NAME: {"enabled": False}}, **condition) == []
    assert parent({}, own={NAME: {"enabled": False}}, **condition) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_renders_alike_below_a_parent(parent: Render, helm: str, path: Path) -> None:
    values = overlay(IMAGES, yaml.safe_load(path.read_text()))
    assert parent({}, own={NAME: values, "global": GLOBAL}) == render(path, helm=helm)


def test_null_in_a_parent_s_values_means_the_default(parent: Render, helm: str) -> None:
    alone = render(helm=helm)
    null = overlay(nulls(KEYS), DATA)
    assert parent({NAME: null}) == alone
    assert parent({}, own={NAME: null}) == alone
    assert parent({NAME: null}, own={NAME: overlay(DATA, {"train": {"gpus": 4, "epochs": 9}})}) == alone
    for given in (
        {"train": None, "stageDefaults": None},
        {"train": {"gpus": None, "adamw": None, "pod": None}},
    ):
        assert parent({NAME: overlay(DATA, given)}) == alone
        assert parent({"global": {"a": None}}, own={NAME: overlay(DATA, given)}) == alone


def test_a_parent_s_values_may_be_given_on_the_command_line(parent: Render) -> None:
    flags = [f"--set={NAME}.data.uri=hf://org/other", f"--set={NAME}.train.gpus=null", "--set=global.a=b"]
    pods = stage_pods(parent({NAME: IMAGES}, flags=flags))
    assert pods["download"].flag("uri") == ["hf://org/other"]
    assert pods["train"].flag("gpus") == ["1"]


def test_an_alias_renames_the_chart_in_labels_and_in_what_clean_up_looks_for(parent: Render) -> None:
    objects = parent({"tune": DATA}, alias="tune")
    clean_up = stage_pods(objects)["cleanup"]
    assert clean_up.labels["app.kubernetes.io/name"] == "tune"
    assert any("app.kubernetes.io/name=tune," in arg for arg in clean_up.args)


def test_switched_off_without_a_parent_is_a_values_problem_and_not_an_empty_release(helm: str) -> None:
    assert render({"enabled": True}, helm=helm) == render(helm=helm)
    text = refusal({"enabled": False, "data": {"uri": ""}}, helm=helm)
    assert "2 problems in the values; nothing was created." in text
    assert "enabled is false" in text and "condition: osft-pipeline.enabled" in text


@pytest.mark.parametrize(
    ("values", "word"),
    [({"global": "text"}, "/global"), ({"global": [1]}, "/global"), ({"enabled": "no"}, "/enabled")],
)
def test_global_is_a_map_and_enabled_true_or_false(values: Object, word: str, helm: str) -> None:
    assert word in refusal(values, helm=helm)
