"""Gates, kept base results, and what ends an evaluation early."""

import json
import math
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.stages.eval.conftest import OTHER_ROWS, Stage, items_of, village_rows, write_tasks
from tests.support.trained_run import make_trained_run, perturbed


def test_the_base_against_itself_is_kept_from_another_run_and_differs_by_nothing(
    stage: Stage, base_model: Path, measured: tuple[int, str]
) -> None:
    """The settings of run `a` but for the gates, so that nothing of the base is measured again."""
    make_trained_run(
        stage.workspace, "same", base=base_model, tuned=base_model, rows=[*village_rows(12), *OTHER_ROWS]
    )
    before = sorted(path.name for path in (stage.workspace / "cache" / "evals").iterdir())
    code, printed = stage.run(
        "same", "--tasks=osft_retention", "--limit=24", "--holdout-generate=3", "--holdout-max-new-tokens=4",
        '--gates={"maxTaskDrop": 0, "holdoutMustImprove": true}', "--no-log-samples",
    )  # fmt: skip
    assert code == 3, printed
    assert 'chose base results value="8 of 8 kept"' in printed
    assert "loading model=base" not in printed
    assert sorted(path.name for path in (stage.workspace / "cache" / "evals").iterdir()) == before
    results = stage.results("same")
    for task in [*results["tasks"].values(), *results["groups"].values()]:
        assert (task["gained"], task["lost"], task["p_value"], task["verdict"]) == (0, 0, 1.0, "unchanged")
    assert results["holdout"]["delta"] == 0
    (failure,) = results["gates"]["failures"]
    assert failure.startswith("held-out loss did not improve")
    assert stage.record("same")["status"] == "refused"
    assert failure in printed
    assert not (stage.dir("same") / "samples").exists()
    assert "Where it learned most" not in (stage.dir("same") / "report.html").read_text()


def change_kept_result(stage: Stage, part: str) -> None:
    """Make the base better than it was in what run `a` measured of one task."""
    for path in (stage.workspace / "cache" / "evals").glob("*.json"):
        kept = json.loads(path.read_text())
        if (kept["part"], kept["common"]["limit"]) == (part, 24):
            path.write_text(json.dumps({**kept, "result": {**kept["result"], "value": 1.0}}))


def test_a_killed_evaluation_resumes_with_the_tuned_model(
    stage: Stage, base_model: Path, blank_model: Path, measured: tuple[int, str]
) -> None:
    """The settings of run `a`, so that of the base only what was changed is measured again."""
    make_trained_run(stage.workspace, "killed", base=base_model, tuned=blank_model, rows=[])
    arguments = ("--tasks=osft_retention", "--limit=24", "--holdout-max-new-tokens=4")
    work = stage.dir("killed") / "work"
    with subprocess.Popen(**stage.command("killed", *arguments), stdout=subprocess.DEVNULL) as first:
        while first.poll() is None and not list(work.glob("*.json")):
            time.sleep(0.01)
        first.kill()
    assert first.returncode == -signal.SIGKILL
    change_kept_result(stage, "osft_capitals")
    code, printed = stage.run("killed", *arguments)
    assert code == 0, printed
    assert "cached result is damaged or changed, measuring again part=osft_capitals" in printed
    assert 'chose base results value="5 of 6 kept"' in printed
    assert re.search('chose tuned results value="[1-5] of 6 kept"', printed)
    assert stage.results("killed")["groups"] == stage.results("a")["groups"]
    assert not work.exists()


def test_a_planted_drop_is_rejected_and_stays_refused(
    stage: Stage, base_model: Path, blank_model: Path, measured: tuple[int, str], tmp_path: Path
) -> None:
    """Right is what the base model says, and only items are asked that the tuned model answers otherwise."""
    items = items_of(24)
    said = [(sample["base"]["answer"], sample["tuned"]["answer"]) for sample in stage.samples("a", "planted")]
    for item, (was, _) in zip(items, said, strict=True):
        item["answer"] = item["choices"].index(was)
    items = [item for item, (was, now) in zip(items, said, strict=True) if was != now]
    assert len(items) > 8
    tasks = write_tasks(tmp_path / "own", items)
    make_trained_run(stage.workspace, "worse", base=base_model, tuned=blank_model, rows=[])
    arguments = [
        f"--include-path={tasks}", "--tasks=planted",
        '--gates={"maxTaskDrop": 100, "tasks": {"planted": 10}, "significance": 0.05}',
    ]  # fmt: skip
    code, printed = stage.run("worse", *arguments)
    assert code == 3, printed
    results = stage.results("worse")
    assert (results["tasks"]["planted"]["base"], results["tasks"]["planted"]["tuned"]) == (1, 0)
    assert results["tasks"]["planted"]["lost"] == len(items)
    assert results["tasks"]["planted"]["verdict"] == "worse"
    (failure,) = results["gates"]["failures"]
    assert "planted fell by" in failure
    assert failure.endswith("the gate allows 10.")
    assert results["holdout"] is None
    assert results["skipped"] == [
        {"what": "held-out rows",
         "reason": "no rows were held out: data.trainFraction is 1 and data.evalUri is empty"}
    ]  # fmt: skip
    assert stage.record("worse")["details"]["primary_metric"] == "planted"
    code, printed = stage.run("worse", *arguments)
    assert code == 3
    assert "already done" in printed


def test_results_of_an_older_version_are_made_again_and_not_taken_for_done(
    stage: Stage, base_model: Path, measured: tuple[int, str], tmp_path: Path
) -> None:
    """Version 1 of the results had no summary, and its record was not asked for a version."""
    arguments = ("--tasks=planted", f"--include-path={write_tasks(tmp_path / 'own', items_of(4))}")
    make_trained_run(stage.workspace, "older", base=base_model, tuned=base_model, rows=[])
    code, printed = stage.run("older", *arguments)
    assert code == 0, printed
    path = stage.dir("older") / "record.json"
    record = stage.record("older")
    del record["inputs"]["results_schema"], record["asked"]["results_schema"]
    path.write_text(json.dumps({**record, "inputs_digest": "sha256:older"}))
    (stage.dir("older") / "results.json").write_text('{"schema": "osft-pipeline/eval-results/v1"}')
    code, printed = stage.run("older", *arguments)
    assert code == 0, printed
    assert "inputs changed, running again changed=results_schema" in printed
    assert stage.results("older")["schema"] == "osft-pipeline/eval-results/v2"
    assert "already done" in stage.run("older", *arguments)[1]


def test_a_fall_that_the_gates_allow_is_shown_beside_passed(
    stage: Stage, base_model: Path, blank_model: Path, measured: tuple[int, str], tmp_path: Path
) -> None:
    """Right is what the base model says; the blank model says something else."""
    said = [(sample["base"]["answer"], sample["tuned"]["answer"]) for sample in stage.samples("a", "planted")]
    items = [
        {**item, "answer": item["choices"].index(was)}
        for item, (was, now) in zip(items_of(24), said, strict=True)
        if was != now
    ]
    tasks = write_tasks(tmp_path / "own", items)
    make_trained_run(stage.workspace, "allowed", base=base_model, tuned=blank_model, rows=[])
    code, printed = stage.run(
        "allowed", f"--include-path={tasks}", "--tasks=planted", '--gates={"maxTaskDrop": 100}'
    )
    assert code == 0, printed
    results = stage.results("allowed")
    assert results["gates"]["limits"] == {"planted": {"allowed": 100, "used": 100, "counts": True}}
    allowed = "Planted fell by 100.0 points, more than expected by chance, and the gate allows 100."
    assert results["summary"]["gates"]["sentence"] == f"Gates passed: {allowed}"
    assert f"**Gates passed**: {allowed}" in (stage.dir("allowed") / "report.md").read_text()
    page = (stage.dir("allowed") / "report.html").read_text()
    assert f'<span class="badge allowed">Gates passed</span> {allowed}' in page
    assert "<h1>Look before you ship: it forgot some of what it knew.</h1>" in page


def test_an_unknown_task_is_named_with_its_neighbours(stage: Stage, base_model: Path) -> None:
    make_trained_run(stage.workspace, "wrong", base=base_model, tuned=base_model, rows=village_rows(4))
    code, printed = stage.run("wrong", "--tasks=osft_retentoin")
    assert code == 2, printed
    assert "task 'osft_retentoin' is unknown" in printed
    assert "Near: osft_retention" in printed
    assert not (stage.dir("wrong") / "record.json").exists()


def test_a_benchmark_of_the_hub_is_out_of_reach_offline(
    stage: Stage, base_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "arc.yaml").write_text("task: my_arc\ndataset_path: org/not-downloaded\ntest_split: test\n")
    make_trained_run(stage.workspace, "hub", base=base_model, tuned=base_model, rows=village_rows(4))
    code, printed = stage.run("hub", "--tasks=my_arc", f"--include-path={tmp_path}")
    assert code == 2, printed
    assert "task 'my_arc' needs items that are neither in this image nor among the benchmarks" in printed
    assert "Set eval.downloadBenchmarks to true" in printed


def test_a_task_without_items_is_named(stage: Stage, base_model: Path, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "own", [])
    make_trained_run(stage.workspace, "empty", base=base_model, tuned=base_model, rows=village_rows(4))
    code, printed = stage.run("empty", "--tasks=planted", f"--include-path={tasks}")
    assert code == 2, printed
    assert "task 'planted' has no items that lm-eval can read (StopIteration)" in printed


@pytest.mark.parametrize(("task", "part"), [("planted", "planted"), ("none", "held-out loss")])
def test_a_model_that_gives_no_numbers_is_named(
    stage: Stage, base_model: Path, tmp_path: Path, task: str, part: str
) -> None:
    """Of NaN likelihoods the first choice would pass for the likeliest, and the task for answered."""
    broken = perturbed(base_model, tmp_path / "model", math.nan)
    tasks = write_tasks(tmp_path / "own", items_of(4))
    make_trained_run(stage.workspace, "nan", base=base_model, tuned=broken, rows=village_rows(4))
    code, printed = stage.run("nan", f"--tasks={task}", f"--include-path={tasks}")
    assert code == 2, printed
    assert f"the tuned model gives nan for {part}, expected finite numbers" in printed
    assert not (stage.dir("nan") / "record.json").exists()


@pytest.mark.parametrize("backend", ["vllm", "auto"])
def test_a_backend_that_is_not_installed_is_named(stage: Stage, base_model: Path, backend: str) -> None:
    make_trained_run(stage.workspace, "engine", base=base_model, tuned=base_model, rows=village_rows(4))
    code, printed = stage.run("engine", f"--backend={backend}")
    assert code == 2, printed
    assert f"eval.backend is {backend} and the eval image does not contain vLLM" in printed


def test_a_missing_gpu_is_reported(stage: Stage, base_model: Path) -> None:
    make_trained_run(stage.workspace, "gpu", base=base_model, tuned=base_model, rows=village_rows(4))
    stage.env["CUDA_VISIBLE_DEVICES"] = ""
    code, printed = stage.run("gpu", "--gpus=1")
    assert code == 2, printed
    assert "Set eval.gpus to 0" in printed
