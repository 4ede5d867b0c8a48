"""Earlier tasks of a chain: measured on both models, judged by a gate, and put together over the runs."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from osft_workspace import Outcome, Run, run_stage, sha256_file, tree_digest, write_atomic
from osft_workspace.chain import find_parent
from osft_workspace.paths import Workspace
from tests.support.sandbox import executable, stage_env
from tests.support.trained_run import encode, perturbed, tiny_model

ROWS = 12
SCALES = {"task1": (1.02, "mlp"), "task2": (1.05, "mlp"), "task3": (3.0, "")}
"""Which weights are multiplied by what in place of training: the last one makes all answers worse."""


def held_out(name: str) -> list[dict[str, Any]]:
    """The held-out rows of a task."""
    with (tiny_model() / "holdout.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    at = list(SCALES).index(name) * ROWS
    return rows[at : at + ROWS]


class Chain:
    """A workspace of runs whose downloads and trainings are made up, and whose evaluations are real."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workspace = folder, folder / "workspace"
        (folder / "scratch").mkdir(parents=True)
        self.workspace.mkdir()

    def made(self, name: str, parent: str = "", gone: tuple[str, ...] = ()) -> None:
        """Leave download and train of a run; of `gone` the earlier rows are not there."""
        found = find_parent(Workspace(self.workspace), name, parent) if parent else None
        base = found.model if found else tiny_model() / "model"
        digest = tree_digest(base)
        cached = f"cache/models/{digest.removeprefix('sha256:')}"
        if not (self.workspace / cached).is_dir():
            shutil.copytree(base, self.workspace / cached)
        rows = held_out(name)
        tokens, encoded = encode(self.workspace, self.workspace / cached, rows)

        def download(run: Run) -> Outcome:
            for file in ("train.jsonl", "eval.jsonl", "rejected.jsonl"):
                lines = rows if file == "eval.jsonl" else []
                write_atomic(run.dir / file, "".join(json.dumps(row) + "\n" for row in lines))
            shared = {cached: digest, tokens: tree_digest(self.workspace / tokens)}
            details: dict[str, Any] = {
                "rows": {"read": 80 + len(rows), "train": 80, "eval": len(rows), "rejected": 0},
                "sources": [{"uri": f"hf://org/{name}", "rows": 100}],
                "model": {"uri": f"hf://org/{name}-base", "path": cached, "digest": digest},
                "tokens": encoded,
                "no_held_out": "",
            }
            if found:
                details["chain"] = found.chain
                links = [link for link in found.chain["links"] if link["run"] not in gone]
                shared |= {link["rows"]["path"]: link["rows"]["digest"] for link in links}
            outputs = ["train.jsonl", "eval.jsonl", "rejected.jsonl"]
            return Outcome(outputs=outputs, shared=shared, details=details)

        def train(run: Run) -> Outcome:
            scale, only = SCALES[name]
            perturbed(self.workspace / cached, run.dir / "model", scale, only=only)
            model = {"path": "train/model", "digest": tree_digest(run.dir / "model")}
            details = {
                "model": model,
                "base": run.predecessors["download"].details["model"],
                "arguments": {},
                "device": "cpu",
            }
            return Outcome(outputs=["model"], details=details)

        run_stage("download", self.workspace, name, inputs={"gone": gone}, needs=(), body=download)
        run_stage("train", self.workspace, name, inputs={}, needs=("download",), body=train)

    def start(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Evaluate a run."""
        own = ["--workspace", str(self.workspace), "--run-id", name, "--gpus=0", "--tasks=osft_capitals"]
        more = ["--limit=4", "--holdout-generate=0", "--model-args", '{"dtype": "float32"}', *words]
        return subprocess.run(
            [executable("eval"), *own, *more],
            env=stage_env(self.workspace, self.folder / "scratch", {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def judged(self, name: str, *words: str, code: int = 0) -> dict[str, Any]:
        """Evaluate a run; returns its results."""
        done = self.start(name, *words)
        assert done.returncode == code, done.stdout
        return self.results(name)

    def results(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.workspace / "runs" / name / "eval" / "results.json").read_text()))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    chain = Chain(tmp_path_factory.mktemp("chain"))
    for name, parent in (("task1", ""), ("task2", "task1"), ("task3", "task2")):
        chain.made(name, parent)
        chain.judged(name)
    return chain


def test_a_run_that_continues_no_other_has_no_chain(chain: Chain) -> None:
    assert "chain" not in chain.results("task1")
    assert chain.results("task1")["summary"]["chain"] is None


def test_each_earlier_task_has_its_loss_before_and_after_and_a_paired_test(chain: Chain) -> None:
    first, second = chain.results("task3")["chain"]["tasks"]
    assert [first["run"], second["run"]] == ["task1", "task2"]
    for task in (first, second):
        assert task["n"] == ROWS and task["test"] == "paired t over rows"
        assert task["delta"] == pytest.approx(task["loss"]["tuned"] - task["loss"]["base"])
        assert task["p_adjusted"] >= task["p_value"]
    own = chain.results("task2")["holdout"]["loss"]
    assert second["loss"]["base"] == pytest.approx(own["tuned"], abs=1e-4)


def test_the_matrix_holds_what_every_run_measured(chain: Chain) -> None:
    found = chain.results("task3")["chain"]
    tasks, matrix = found["tasks"], found["matrix"]
    assert found["runs"] == ["task1", "task2", "task3"]
    own = chain.results("task1")["holdout"]["loss"]
    before = chain.results("task2")["chain"]["tasks"][0]["loss"]
    last = chain.results("task3")["holdout"]["loss"]
    assert matrix[0][0] == pytest.approx(own["base"], abs=1e-4)
    assert matrix[1] == [before["base"], chain.results("task2")["holdout"]["loss"]["base"], None]
    assert matrix[2] == [tasks[0]["loss"]["base"], tasks[1]["loss"]["base"], last["base"]]
    assert matrix[3] == [tasks[0]["loss"]["tuned"], tasks[1]["loss"]["tuned"], last["tuned"]]
    moved = [matrix[1][0] - matrix[3][0], matrix[2][1] - matrix[3][1]]
    assert found["backward_transfer"] == pytest.approx(sum(moved) / 2)
    assert found["average_loss"] == pytest.approx(sum(matrix[3]) / 3)


def test_the_first_base_model_is_measured_too(chain: Chain) -> None:
    found = chain.results("task3")["chain"]
    assert found["first"]["uri"] == "hf://org/task1-base"
    assert found["first"]["tasks"]["osft_capitals"]["n"] == 4
    assert found["matrix"][0][1] is not None and found["matrix"][0][2] is None


def test_report_and_record_show_the_chain(chain: Chain) -> None:
    folder = chain.workspace / "runs" / "task3" / "eval"
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for shown in (page, text):
        assert "Earlier tasks" in shown and "Task 3 of a chain." in shown
    assert "| Task 1 (task1) |" in text and "| first base model |" in text
    metrics = json.loads((folder / "record.json").read_text())["metrics"]
    figures = chain.results("task3")["chain"]
    assert metrics["earlier_1_loss_tuned"] == figures["tasks"][0]["loss"]["tuned"]
    assert metrics["chain_backward_transfer"] == figures["backward_transfer"]


def test_a_rise_beyond_the_gate_fails_it_and_names_the_task(chain: Chain) -> None:
    rise = max(task["delta"] for task in chain.results("task3")["chain"]["tasks"])
    assert rise > 0
    allowed = chain.judged("task3", "--gates", json.dumps({"maxEarlierRise": rise + 0.01}))
    assert allowed["gates"]["passed"]
    refused = chain.judged("task3", "--gates", json.dumps({"maxEarlierRise": rise - 0.0001}), code=3)
    assert not refused["gates"]["passed"]
    (failure,) = refused["gates"]["failures"]
    assert re.search(r"the held-out loss of task \d \(task\d\) rose by", failure)
    rules = refused["summary"]["gates"]["rules"]
    assert any(rule.startswith("The held-out loss of an earlier task may rise by at most") for rule in rules)


def test_a_rise_that_chance_explains_does_not_fail_a_gate_with_significance(tmp_path: Path) -> None:
    from osft_eval import chain as judged
    from osft_eval.gates import read_gates

    def gated(p_value: float) -> list[str]:
        task = {"title": "task 1 (a)", "reason": "", "delta": 0.2, "p_adjusted": p_value, "n": 9}
        task |= {"loss": {"base": 1.0, "tuned": 1.2}}
        results: dict[str, Any] = {"chain": {"tasks": [task]}, "gates": {"failures": []}, "skipped": []}
        judged.gate(read_gates({"maxEarlierRise": 0.1, "significance": 0.05}), results)
        return list(results["gates"]["failures"])

    assert gated(0.2) == [] and len(gated(0.01)) == 1


def test_rows_that_are_gone_are_named_and_the_others_are_measured(chain: Chain, tmp_path: Path) -> None:
    other = Chain(tmp_path / "other")
    shutil.copytree(chain.workspace, other.workspace, dirs_exist_ok=True)
    for stage in ("train", "eval"):
        shutil.rmtree(other.workspace / "runs" / "task3" / stage)
    shutil.rmtree(other.workspace / "runs" / "task3" / "download")
    shutil.rmtree(other.workspace / "runs" / "task1")
    other.made("task3", "task2", gone=("task1",))
    found = other.judged("task3", "--gates", '{"maxEarlierRise": 9}')
    first, second = found["chain"]["tasks"]
    assert first["reason"] == "they are gone from the workspace" and "loss" not in first
    assert second["n"] == ROWS
    assert found["chain"]["backward_transfer"] is None
    # What task 2 had measured of task 1 is in its own results.
    assert found["chain"]["matrix"][2][0] == chain.results("task2")["chain"]["tasks"][0]["loss"]["tuned"]
    said = "they are gone from the workspace, so maxEarlierRise does not judge them"
    assert f"Held-out rows of task 1 (task1): {said}." in found["summary"]["left_out"]


def test_changed_results_of_an_earlier_run_do_not_enter_the_matrix(chain: Chain, tmp_path: Path) -> None:
    other = Chain(tmp_path / "other")
    shutil.copytree(chain.workspace, other.workspace, dirs_exist_ok=True)
    path = other.workspace / "runs" / "task2" / "eval" / "results.json"
    values = json.loads(path.read_text())
    values["holdout"]["loss"] = {"base": 99.0, "tuned": 99.0}
    values["chain"]["matrix"][1][0] = 99.0
    path.write_text(json.dumps(values))
    before = sha256_file(path)
    done = other.start("task3", "--limit=3")
    assert done.returncode == 0 and "results of task2" in done.stdout
    matrix = other.results("task3")["chain"]["matrix"]
    assert 99.0 not in [value for row in matrix for value in row] and sha256_file(path) == before
