"""Three tasks in a row on this machine: `osft run --local --continue`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.client.local.support import OSFT, call
from tests.support.tiny_values import TINY
from tests.support.trained_run import tiny_model

VALUES = {
    "data": {"trainFraction": 0.8},
    "train": {**TINY["train"], "maxTokensPerGpu": 1024, "maxSequenceLength": 256},
    "eval": {"gpus": 0, "limit": 2, "tasks": ["osft_capitals"], "holdout": {"generate": 0}},
    "preflight": {"addresses": False},
    "workspace": {"minFreeGiB": 0},
}
ROWS = 40


class Chain:
    """A workspace with a file of rows for each task."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workspace = folder, folder / "workspace"
        rows = (tiny_model() / "train.jsonl").read_text().splitlines(keepends=True)
        for number in range(3):
            lines = rows[number * ROWS : (number + 1) * ROWS]
            (folder / f"task{number + 1}.jsonl").write_text("".join(lines))
        (folder / "values.yaml").write_text(yaml.safe_dump(VALUES))

    def run(self, name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Call `osft run NAME --local`."""
        return call(
            *(OSFT, "run", name, "--local", "-f", self.folder / "values.yaml", "--registry", "none"),
            *("--data", self.folder / f"{name}.jsonl", "--workspace", self.workspace, *words),
        )

    def record(self, name: str, stage: str) -> dict[str, Any]:
        """The record of a stage of the only run of a release."""
        (path,) = self.workspace.glob(f"runs/{name}-*/{stage}/record.json")
        return dict(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    chain = Chain(tmp_path_factory.mktemp("chain"))
    first = ("--model", tiny_model() / "model")
    for name, words in {
        "task1": first,
        "task2": ("--continue", "task1"),
        "task3": ("--continue", "task2"),
    }.items():
        done = chain.run(name, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    return chain


def test_each_task_tunes_the_model_of_the_one_before(chain: Chain) -> None:
    for before, after in (("task1", "task2"), ("task2", "task3")):
        tuned = chain.record(before, "eval")["details"]["model"]["digest"]
        (*_, link) = chain.record(after, "download")["details"]["chain"]["links"]
        assert link["run"] == chain.record(before, "train")["run_id"] and link["model"]["digest"] == tuned
        assert chain.record(after, "download")["details"]["model"]["uri"].endswith(
            f"{link['run']}/train/model"
        )


def test_the_screen_report_and_card_show_what_became_of_the_earlier_tasks(chain: Chain) -> None:
    run = chain.record("task3", "train")["run_id"]
    screen = call(OSFT, "report", run, "--workspace", chain.workspace).stdout
    assert "Task 3 of a chain." in screen and "Earlier tasks" in screen and "Backward transfer" in screen
    first = chain.record("task1", "train")["run_id"]
    assert f"Task 1 ({first})" in screen
    folder = chain.workspace / "runs" / run
    results = json.loads((folder / "eval" / "results.json").read_text())
    assert [task["run"].partition("-")[0] for task in results["chain"]["tasks"]] == ["task1", "task2"]
    known = [[value is not None for value in row] for row in results["chain"]["matrix"]]
    assert known == [[True, True, False], [True, True, False], [True] * 3, [True] * 3]
    card = (folder / "register" / "model-card.md").read_text()
    assert f"It continues run `{chain.record('task2', 'train')['run_id']}`." in card
    assert "## Earlier tasks" in card


def test_the_same_command_again_repeats_nothing(chain: Chain) -> None:
    done = chain.run("task2", "--continue", "task1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" already done ") == 4


def test_the_list_of_runs_shows_what_each_continues(chain: Chain) -> None:
    done = call(OSFT, "runs", "--local", "--workspace", chain.workspace)
    lines = {line.split()[0].partition("-")[0]: line for line in done.stdout.splitlines()}
    assert "continues" in lines["run"]
    assert chain.record("task2", "train")["run_id"] in lines["task3"]
    assert chain.record("task1", "train")["run_id"] in lines["task2"]
    found = json.loads(call(OSFT, "runs", "--local", "--json", "--workspace", chain.workspace).stdout)
    assert [run["parent"] for run in found][-1] is None


def test_prune_keeps_the_runs_that_later_ones_continue(chain: Chain) -> None:
    done = call(OSFT, "prune", "task1", "--dry-run", "--workspace", chain.workspace)
    assert f"{chain.record('task1', 'train')['run_id']} is continued by run task" in done.stdout
    assert "Nothing to remove." in done.stdout


def test_a_plan_of_the_next_task_reads_the_model_of_the_run(chain: Chain) -> None:
    words = ("--set=model.fromRun=task3,train.gpus=0", "--rows=40", "--tokens-per-row=50")
    done = call(OSFT, "plan", "task4", "--workspace", chain.workspace, *words)
    assert done.returncode == 0, done.stderr
    assert "osft of" in done.stdout


def test_an_unknown_run_is_refused_with_those_that_there_are(chain: Chain) -> None:
    done = chain.run("task3", "--continue", "task9")
    assert done.returncode == 2
    said = " ".join((done.stdout + done.stderr).split())
    assert (
        "model.fromRun is 'task9'" in said
        and f"{chain.record('task1', 'train')['run_id']} (finished)" in said
    )
