"""Benchmarks of the hub that an evaluation will ask about, staged into the workspace by the real client."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.stages.download.support import CHAT, End, Stage
from tests.support.benchmarks import arc, dataset, real_names
from tests.support.hub import GOOD_TOKEN, Hub, Repo

PINNED = "b" * 40
SPLITS = ("train", "test")


@pytest.fixture(scope="module", autouse=True)
def repos(hub: Hub) -> None:
    split = {"test": arc(2)}
    hub.repos = {
        **real_names(["abstract_algebra", "anatomy"]),
        "datasets/org/gated": dataset({"default": split}, gated=True),
        "datasets/org/script": Repo({"script.py": b"import datasets", "README.md": b"# Script"}),
        "datasets/org/dated": dataset({"default": split}, refs={"main": "a" * 40, "v2": PINNED}),
        "datasets/org/plain": Repo({f"data/{split}.jsonl": b'{"question": "?"}\n' for split in SPLITS}),
    }  # fmt: skip


def notes(stage: Stage) -> dict[str, dict[str, Any]]:
    """What the stage noted, by dataset and config."""
    found = [
        json.loads(path.read_text()) for path in stage.workspace.glob("cache/benchmarks/.staging/*.json")
    ]
    return {f"{note['dataset']}:{note['config']}": note for note in found}


def folder(stage: Stage, name: str) -> Path:
    return stage.workspace / str(notes(stage)[name]["path"])


def staged(
    stage: Stage, hub: Hub, *tasks: str, args: tuple[str, ...] = (), run: str = "run-1", **env: str
) -> End:
    """Start the stage on local rows, with the benchmarks of these tasks."""
    rows = f"--uri={stage.file('rows.jsonl', CHAT)}"
    named = [f"--benchmarks={task}" for task in tasks]
    return stage.run(rows, *named, *args, run=run, **{**hub.env(), **env})


def own_task(stage: Stage, name: str, more: str) -> str:
    """Write a task file; returns the option that names its folder."""
    tasks = stage.base / "tasks"
    tasks.mkdir(exist_ok=True)
    (tasks / f"{name}.yaml").write_text(f"task: {name}\ntest_split: test\n{more}\n")
    return f"--benchmarks-include-path={tasks}"


def test_the_items_of_tasks_lie_in_the_workspace_at_one_commit(stage: Stage, hub: Hub) -> None:
    end = staged(stage, hub, "arc_easy", "gsm8k", "osft_retention", "mmlu_anatom?")
    assert end.code == 0, end.printed
    end = staged(stage, hub, "arc_easy", "gsm8k", "mmlu_abstract_algebra", "mmlu_anatomy")
    assert end.code == 0, end.printed
    found = notes(stage)
    assert set(found) == {
        "allenai/ai2_arc:ARC-Easy", "openai/gsm8k:main", "cais/mmlu:abstract_algebra", "cais/mmlu:anatomy",
    }  # fmt: skip
    assert {note["revision"] for note in found.values()} == {"a" * 40}
    easy = folder(stage, "allenai/ai2_arc:ARC-Easy")
    assert sorted(path.relative_to(easy).as_posix() for path in easy.rglob("*.*")) == [
        "ARC-Easy/test-00000-of-00001.parquet",
        "ARC-Easy/train-00000-of-00001.parquet",
        "ARC-Easy/validation-00000-of-00001.parquet",
        "README.md",
    ]
    assert (
        'fetching the benchmark dataset="allenai/ai2_arc (ARC-Easy)"' in end.printed
        or "already done" in end.printed
    )


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(stage: Stage, hub: Hub) -> None:
    assert staged(stage, hub, "arc_easy").code == 0
    hub.asked.clear()
    again = staged(stage, hub, "arc_easy", run="run-2")
    assert again.code == 0, again.printed
    assert "benchmarks are in the workspace number=1" in again.printed
    assert not [path for path in hub.asked if "ai2_arc" in path]
    place = folder(stage, "allenai/ai2_arc:ARC-Easy")
    (place / "ARC-Easy" / "test-00000-of-00001.parquet").write_bytes(b"other")
    damaged = staged(stage, hub, "arc_easy", run="run-2")
    assert damaged.code == 0, damaged.printed
    assert "benchmark is damaged or gone, fetching it again" in damaged.printed
    shutil.rmtree(place)
    assert "benchmark is damaged or gone" in staged(stage, hub, "arc_easy", run="run-2").printed
    assert (place / "ARC-Easy" / "test-00000-of-00001.parquet").stat().st_size > 5


def test_tasks_of_the_evaluation_do_not_make_the_rows_again(stage: Stage, hub: Hub) -> None:
    first = staged(stage, hub)
    assert first.code == 0, first.printed
    record = first.record
    then = staged(stage, hub, "arc_easy")
    assert then.code == 0, then.printed
    assert "already done" in then.printed and "fetching the benchmark" in then.printed
    assert then.record == record


def test_a_hub_that_fails_is_asked_again_and_an_absent_one_is_retried_later(stage: Stage, hub: Hub) -> None:
    assert staged(stage, hub).code == 0
    hub.failing = 1
    end = staged(stage, hub, "gsm8k")
    assert end.code == 0, end.printed
    assert "retrying" in end.printed
    gone = staged(stage, hub, "arc_easy", HF_ENDPOINT="http://127.0.0.1:9")
    assert gone.code == 75, gone.printed
    assert (gone.dir / "record.json").exists()  # the rows are there, and the next start downloads the rest
    assert staged(stage, hub, "arc_easy").code == 0


def test_a_task_file_names_a_dataset_at_a_revision(stage: Stage, hub: Hub) -> None:
    include = own_task(stage, "dated", "dataset_path: org/dated\ndataset_kwargs: {revision: v2}")
    own_task(stage, "plain", "dataset_path: org/plain\ntag: plain_tag")
    own_task(stage, "local", "dataset_path: json\ndataset_kwargs: {data_files: {test: own.jsonl}}")
    (stage.base / "tasks" / "all.yaml").write_text(
        "group: ours\ntask:\n- dated\n- plain_tag\n- local\n- task: arc_easy\n"
    )
    end = staged(stage, hub, "ours", args=(include,))
    assert end.code == 0, end.printed
    found = notes(stage)
    assert set(found) == {"org/dated:None", "org/plain:None", "allenai/ai2_arc:ARC-Easy"}
    assert found["org/dated:None"]["revision"] == PINNED
    place = folder(stage, "org/plain:None")
    assert sorted(path.name for path in place.rglob("*.jsonl")) == ["test.jsonl", "train.jsonl"]


def test_values_pin_a_revision(stage: Stage, hub: Hub) -> None:
    include = own_task(stage, "dated", "dataset_path: org/dated")
    pins = '--benchmark-revisions={"org/dated": "v2"}'
    end = staged(stage, hub, "dated", args=(include, pins))
    assert end.code == 0, end.printed
    assert notes(stage)["org/dated:None"]["revision"] == PINNED
    end = staged(stage, hub, "dated", args=(include, '--benchmark-revisions={"org/dated": 2}'))
    assert end.code == 2 and "is not an object of texts" in end.printed


OWN = {
    "gated": ("dataset_path: org/gated", "the dataset org/gated on http"),
    "absent": ("dataset_path: org/absent", "there is no dataset org/absent"),
    "config": ("dataset_path: allenai/ai2_arc\ndataset_name: ARC-Hard", "BuilderConfig 'ARC-Hard' not found"),
    "script": ("dataset_path: org/script", "Dataset scripts are no longer supported, but found script.py"),
    "away": (
        "dataset_path: json\ndataset_kwargs: {data_files: {test: 'https://example.com/a.json'}}",
        "reads https://example.com/a.json, expected files beside it or one dataset of the hub",
    ),
    "mixed": (
        "dataset_path: json\ndataset_kwargs: {data_files: "
        "{a: 'hf://datasets/a/b/c.json', b: 'hf://datasets/d/e/f.json'}}",
        "expected files beside it or one dataset of the hub",
    ),
    "code": ("dataset_path: org/plain\nunsafe_code: true", "it runs code that the model writes"),
}


@pytest.mark.parametrize("name", OWN)
def test_what_cannot_be_staged_is_one_sentence(stage: Stage, hub: Hub, name: str) -> None:
    more, expected = OWN[name]
    end = staged(stage, hub, name, args=(own_task(stage, name, more),))
    assert end.code == 2, end.printed
    assert expected in end.error, end.error
    assert "Traceback" not in end.printed and str(stage.base / "scratch") not in end.error
    assert not notes(stage)


def test_a_gated_dataset_comes_with_a_token_that_has_access(stage: Stage, hub: Hub) -> None:
    include = own_task(stage, "gated", "dataset_path: org/gated")
    refused = staged(stage, hub, "gated", args=(include,))
    assert refused.code == 2
    assert "is gated and HF_TOKEN is empty. Ask for access at" in refused.error
    assert staged(stage, hub, "gated", args=(include,), **hub.env(GOOD_TOKEN)).code == 0


def test_names_are_checked_before_anything_is_fetched(stage: Stage, hub: Hub) -> None:
    for name, expected in {
        "arc_eazy": "eval.tasks names 'arc_eazy', expected a task of lm-eval 0.4.13",
        "humaneval": "the items of 'humaneval' in eval.tasks cannot be downloaded: it runs code that the",
        "babilong_qa1": "its items are made by a function that fetches them itself",
    }.items():
        end = staged(stage, hub, name, args=("--check",))
        assert end.code == 2, end.printed
        assert expected in end.printed
    assert "Near: arc_easy" in staged(stage, hub, "arc_eazy").error
    end = staged(stage, hub, "ours", args=("--benchmarks-include-path=/absent",))
    assert "eval.includePath /absent is not a folder in the download pod" in end.failed(2)
