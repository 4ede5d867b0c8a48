"""train.configMap: who mounts it, which values are passed on beside it, and what the run id depends on."""

import re

import pytest
import yaml

from osft_workspace.training_keys import KEYS, SECTIONS
from osft_workspace.training_reasons import WITHOUT
from tests.chart.rendering import CHART, HOOKS, Object, overlay, refusal, render, run_id, stage_pods
from tests.chart.test_migration import REFERENCE, rows

FILE = "/etc/osft/training/training_config.yaml"
NAMED: Object = {"train": {"configMap": {"name": "kaito-settings", "key": "ours.yaml"}}}
CONTENT = "training_config:\n  LoraConfig: {r: 16}\n"


def content(text: str = CONTENT) -> Object:
    """Return values with settings in them."""
    return {"train": {"configMap": {"content": text}}}


@pytest.mark.parametrize("ordering", [{}, HOOKS, {"data": {"runAs": "initContainer"}}], ids=str)
def test_download_and_training_mount_the_named_configmap(ordering: Object) -> None:
    objects = render(overlay(NAMED, ordering))
    assert not [thing for thing in objects if thing["kind"] == "ConfigMap"]
    pods = stage_pods(objects)
    volume = {"name": "kaito-settings", "items": [{"key": "ours.yaml", "path": "training_config.yaml"}]}
    for stage in ("download", "train") if "download" in pods else ("train",):
        assert pods[stage].mounts["/etc/osft/training"]["configMap"] == volume
        assert pods[stage].flag("training-config") == [FILE]
    for container in pods["train"].spec.get("initContainers", []):
        assert f"--training-config={FILE}" in container["args"]
        assert "/etc/osft/training" in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert "/etc/osft/training" not in pods["eval"].mounts if "eval" in pods else True
    assert pods["preflight"].mounts["/etc/osft/training"]["configMap"]["optional"] is True
    (asked,) = pods["preflight"].flag("require-file")
    assert asked.startswith(f"{FILE}=config map kaito-settings in namespace team lacks the key ours.yaml")


@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
def test_content_becomes_a_configmap_that_preflight_does_not_wait_for(ordering: Object) -> None:
    objects = render(overlay(content(), ordering))
    (made,) = [thing for thing in objects if thing["kind"] == "ConfigMap"]
    assert made["data"] == {"training_config.yaml": CONTENT}
    assert "annotations" not in made["metadata"], "an ordinary object, which is there before any stage"
    pods = stage_pods(objects)
    assert pods["train"].mounts["/etc/osft/training"]["configMap"]["name"] == made["metadata"]["name"]
    assert "/etc/osft/training" not in pods["preflight"].mounts
    assert pods["preflight"].flag("require-file") == []


def test_only_values_that_differ_from_their_default_are_passed_on() -> None:
    values: Object = {
        "train": {"epochs": 4, "seed": 42, "method": "lora", "lora": {"r": 9, "alpha": 8}, "gpus": 2},
        "data": {"trainFraction": 0.5, "shuffle": True},
    }
    pods = stage_pods(render(overlay(NAMED, values)))
    assert [arg for arg in pods["train"].args if arg != f"--training-config={FILE}"] == [
        "--method=lora", "--gpus=2", "--nproc-per-node=2", "--num-epochs=4", "--lora-r=9",
    ]  # fmt: skip
    assert [arg for arg in pods["download"].args if arg != f"--training-config={FILE}"] == [
        "--uri=hf://org/dataset", "--train-fraction=0.5", "--no-pretraining",
    ]  # fmt: skip
    assert stage_pods(render(values))["train"].flag("seed") == ["42"], "without a ConfigMap all are"


def test_processes_are_passed_on_though_a_default_says_the_same() -> None:
    values: Object = {"train": {"gpus": 4, "processesPerNode": 1}}
    assert stage_pods(render(overlay(NAMED, values)))["train"].flag("nproc-per-node") == ["1"]


def test_the_run_id_depends_on_the_name_or_on_what_the_content_says() -> None:
    ids = [
        run_id(render(values))
        for values in (
            {},
            NAMED,
            overlay(NAMED, {"train": {"configMap": {"name": "other"}}}),
            overlay(NAMED, {"train": {"configMap": {"key": "other.yaml"}}}),
            content(),
            content(CONTENT.replace("16", "17")),
        )
    ]
    assert len(set(ids)) == len(ids)
    assert run_id(render(content(f"# Ours\n{CONTENT}"))) == run_id(render(content()))


def test_other_content_under_a_run_id_of_the_user_makes_other_pods() -> None:
    first, second = (
        stage_pods(render({"runId": "mine", **content(text)}))["train"].mounts["/etc/osft/training"]
        for text in (CONTENT, CONTENT.replace("16", "17"))
    )
    assert first["configMap"]["name"] != second["configMap"]["name"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "a", "content": CONTENT}, "train.configMap.name and train.configMap.content are both set"),
        ({"content": "a: ["}, "train.configMap.content is not a YAML mapping training_config"),
        ({"content": "- 1"}, "train.configMap.content is not a YAML mapping training_config"),
        ({"content": "training_config: 1"}, "train.configMap.content is not a YAML mapping training_config"),
        ({"content": "training_config: {}\nother: 1"}, "is not a YAML mapping training_config"),
        ({"content": "LoraConfg: {r: 1}"}, "has the section LoraConfg, expected ModelConfig, Quantization"),
    ],
)
def test_what_helm_can_know_of_the_settings_is_refused(given: Object, said: str) -> None:
    assert said in refusal({"train": {"configMap": given}})


def test_an_empty_mapping_is_taken() -> None:
    render(content("training_config: {}"))


def test_the_chart_knows_the_sections_that_the_stages_read() -> None:
    template = (CHART / "templates" / "problems" / "_config.tpl").read_text()
    (listed,) = re.findall(r"\$sections := list (.*) -\}\}", template)
    assert tuple(re.findall(r'"(\w+)"', listed)) == SECTIONS == tuple(KEYS) == tuple(WITHOUT)


def test_the_page_of_migration_has_the_keys_and_values_that_the_stages_read() -> None:
    page = {theirs: ours for section, theirs, ours, _ in rows() if section == "Kaito's tuning"}
    read = {name: key for keys in KEYS.values() for name, key in keys.items()}
    assert set(read) <= set(page)
    for name, key in read.items():
        assert page[name].startswith(f"`{key.value}`"), name
    others = {name for name in REFERENCE["Kaito's tuning"] if "." not in name} - {*read, "method", "config"}
    assert others <= {name for keys in WITHOUT.values() for name in keys}


def test_the_shipped_configmaps_have_every_section() -> None:
    for name in ("lora", "qlora"):
        made = yaml.safe_load((CHART / "examples" / "config-maps" / f"{name}.yaml").read_text())
        assert made["kind"] == "ConfigMap"
        assert set(yaml.safe_load(made["data"]["training_config.yaml"])["training_config"]) == set(SECTIONS)
