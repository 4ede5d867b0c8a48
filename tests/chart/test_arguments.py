"""What the chart says to a stage, its command line takes; nothing on either side is left over."""

import functools
import importlib
import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.chart.rendering import ROOT, STAGES, Object, Pod, render, stage_pods
from tests.chart.test_migration import osft_parameters
from tests.chart.test_schema import NODES, SCHEMA, VALUES, leaves

EVERYTHING = [
    ROOT / "tests" / "chart" / "values" / f"everything-{name}.yaml" for name in ("cluster", "hooks")
]
HELPERS = ("preflight", "verify", "wait", "cleanup")
# Given by the environment, or only for people who run a stage alone.
NOT_BY_FLAG = {
    *("workspace", "run_id", "claim", "token_file", "show_rows", "check", "help"),
    *("node_rank", "master_addr", "master_port"),  # from Kubeflow Trainer
}


def command(stage: str) -> click.Command:
    """Return the click command of a stage or helper."""
    module = "osft_ops.cli" if stage in HELPERS else f"osft_{stage}.cli"
    main: click.Command = importlib.import_module(module).main
    return main


def parsed(stage: str, args: list[str]) -> dict[str, Any]:
    """Return the arguments as the stage's own command line parses them. Raises click.UsageError."""
    args = list(args)  # click takes its arguments out of the list
    defaults = {"run_id": "run1-0a1b2c3d"}
    main = command(stage)
    if isinstance(main, click.Group):
        name, found, rest = main.resolve_command(click.Context(main), args)
        assert found is not None
        return found.make_context(name, rest, default_map=defaults).params
    return main.make_context(stage, args, default_map=defaults).params


@functools.cache
def arguments(path: Path | None) -> dict[str, list[str]]:
    """Return the arguments of every pod of a rendering."""
    return {stage: pod.args for stage, pod in stage_pods(render(path)).items()}


@pytest.mark.parametrize("path", [None, *EVERYTHING], ids=["defaults", "cluster", "hooks"])
@pytest.mark.parametrize("stage", [*STAGES, *HELPERS])
def test_a_stage_takes_the_arguments_that_the_chart_gives_it(stage: str, path: Path | None) -> None:
    if stage in arguments(path):
        assert parsed(stage, arguments(path)[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_defaults_of_the_chart_and_of_the_command_line_are_the_same(stage: str) -> None:
    options = {option.name: option for option in command(stage).params}
    # pretraining: for download alone it is optional whether training will be pretraining.
    # training: only the chart knows the training that is to come.
    without_default = {
        *("uri", "model_uri", "namespace", "release", "nproc_per_node", "pretraining", "training"),
    }
    differing = {}
    for arg in arguments(None)[stage]:
        name = arg.partition("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        given = parsed(stage, arguments(None)[stage])[name]
        default = parsed(stage, ["--uri=hf://a/b", "--model-uri=hf://a/b"] if stage == "download" else [])[
            name
        ]
        if name not in without_default and given != default:
            differing[name] = (given, default)
    assert not differing
    assert options


@pytest.mark.parametrize("stage", STAGES)
def test_every_option_of_a_stage_is_read_by_its_code(stage: str) -> None:
    folder = ROOT / "images" / stage / f"osft_{stage}"
    code = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    # Training passes options on to training_hub by their names there.
    passed = osft_parameters() if stage == "train" else set()
    # What `main` of each stage takes by name.
    common = {"help", "workspace", "run_id", "check", "run_overwrite", "training_config"}
    names = {option.name for option in command(stage).params if option.name} - common - passed
    assert names
    unread = {name for name in names if not re.search(rf'\.{name}\b|"{name}"', code)}
    assert unread == set()


@pytest.mark.parametrize("stage", STAGES)
def test_every_flag_of_a_stage_has_a_value(stage: str) -> None:
    known = {option.name for option in command(stage).params} - NOT_BY_FLAG
    given = {
        arg.partition("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        for path in (None, *EVERYTHING)
        for arg in arguments(path)[stage]
    }
    assert known - given == set()


def test_the_two_files_set_every_value_to_something_of_its_own() -> None:
    files: list[Object] = [yaml.safe_load(path.read_text()) for path in EVERYTHING]

    def value(values: Any, path: str) -> Any:
        for key in path.split("."):
            values = values.get(key) if isinstance(values, dict) else None
        return values

    same = []
    for path in leaves(VALUES, SCHEMA):
        if path.endswith(("enabled", ".runAs", "ordering")):
            continue  # a stage or a chart that is off shows nothing
        given = [found for file in files if (found := value(file, path)) not in (None, "")]
        if not [found for found in given if json.dumps(found) != json.dumps(value(VALUES, path))]:
            same.append(path)
    # The other one of two ways, to which test_config_map.py, test_runtime_ref.py and test_secrets.py look.
    installed = [f"train.runtimeRef.{key}" for key in ("name", "kind", "patches")]
    assert same == [*installed, "train.configMap.content", "register.tls.caConfigMap"]


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        ("download", "data.format"),
        ("download", "data.systemRole"),
        ("download", "data.overlap"),
        ("download", "data.onInvalid"),
        ("eval", "eval.backend"),
        ("register", "register.onConflict"),
    ],
)
def test_the_words_that_the_schema_allows_are_those_that_the_stage_takes(stage: str, key: str) -> None:
    name = re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key.partition(".")[2])
    (option,) = [option for option in command(stage).params if option.name == name]
    assert isinstance(option.type, click.Choice)
    assert NODES[key]["enum"] == list(option.type.choices)


def test_the_columns_that_the_schema_allows_are_those_that_download_reads() -> None:
    from osft_download.formats import COLUMNS

    assert set(NODES["data.columns"]["properties"]) == set(COLUMNS)


PRETRAINING: Object = {"enabled": True, "blockSize": 64}


def download_and_train(values: Object) -> tuple[Pod, Pod]:
    """Return the two pods that must agree on how rows become tokens."""
    stages = stage_pods(render(values))
    return stages["download"], stages["train"]


@pytest.mark.parametrize(
    ("values", "download", "train"),
    [
        ({}, "--no-unmask-messages", None),
        ({"train": {"unmaskMessages": True}}, "--unmask-messages", "--unmask-messages"),
        ({"train": {"maxSequenceLength": 77}}, "--max-seq-len=77", "--max-seq-len=77"),
        ({}, "--no-pretraining", None),
        ({"train": {"pretraining": PRETRAINING}}, "--pretraining", "--is-pretraining"),
        ({"model": {"trustRemoteCode": True}}, "--trust-remote-code", "--trust-remote-code"),
        ({"model": {"resizeEmbeddings": True}}, "--resize-embeddings", None),
        ({"data": {"systemRole": "merge", "minTokens": 0}}, "--system-role=merge", None),
        ({"data": {"minTokens": 0}}, "--min-tokens=0", None),
        ({"data": {"overlap": "warn"}}, "--overlap=warn", None),
    ],
)
def test_what_decides_the_tokens_reaches_download_and_where_it_is_used_train(
    values: Object, download: str, train: str | None
) -> None:
    first, second = download_and_train(values)
    assert download in first.args
    assert train is None or train in second.args


@pytest.mark.parametrize(
    ("columns", "column", "seen"),
    [
        ({}, "body", {"document": "body"}),
        ({"document": "body"}, "", {"document": "body"}),
        ({"document": "body"}, "body", {"document": "body"}),
        ({"messages": "chat"}, "body", {"messages": "chat", "document": "body"}),
    ],
)
def test_the_column_of_plain_text_is_the_same_for_download_and_train(
    columns: Object, column: str, seen: Object
) -> None:
    pretraining = {**PRETRAINING, "documentColumn": column}
    download, train = download_and_train(
        {"data": {"columns": columns}, "train": {"pretraining": pretraining}}
    )
    assert [json.loads(text) for text in download.flag("columns")] == [seen]
    assert train.flag("document-column-name") == ["body"]


def test_texts_reach_the_stage_as_they_were_written() -> None:
    # The kubelet makes one dollar of two and would expand $(HOME).
    (description,) = [arg for arg in arguments(EVERYTHING[0])["register"] if arg.startswith("--description=")]
    assert description == "--description=what the model costs: $$5 or $$(HOME)"
