"""What an evaluation on real (tiny) models measures and leaves behind."""

import json
import math
import os
import subprocess
from pathlib import Path

import pytest

from tests.stages.eval.conftest import Stage
from tests.support.sandbox import ROOT, executable

OWN = ROOT / "images/eval/osft_eval/tasks"
SUITE = ("osft_capitals", "osft_currencies", "osft_elements", "osft_opposites", "osft_verbs", "osft_grammar")


@pytest.fixture(autouse=True)
def ran(measured: tuple[int, str]) -> None:
    code, printed = measured
    assert code == 0, printed


def test_every_task_was_given_to_both_models(stage: Stage) -> None:
    tasks = stage.results("a")["tasks"]
    assert set(tasks) == {"planted", "told", *SUITE}
    assert {task["n"] for task in tasks.values()} == {24}
    assert {name: task["kind"] for name, task in tasks.items() if task["kind"] == "benchmark"} == {
        "planted": "benchmark", "told": "benchmark"
    }  # fmt: skip


def test_the_samples_hold_one_line_for_each_item_with_both_answers(stage: Stage) -> None:
    results = stage.results("a")
    for name, task in results["tasks"].items():
        samples = stage.samples("a", name)
        assert len(samples) == task["n"]
        gained = sum(s["tuned"]["correct"] and not s["base"]["correct"] for s in samples)
        lost = sum(s["base"]["correct"] and not s["tuned"]["correct"] for s in samples)
        assert (task["gained"], task["lost"]) == (gained, lost)
        assert task["base"] == pytest.approx(sum(s["base"]["score"] for s in samples) / task["n"])
        assert task["delta"] == pytest.approx((gained - lost) / task["n"])
    item = stage.samples("a", "planted")[1]
    assert item["id"] == "item-1"
    assert item["choices"] == ["a", "b", "c", "d"]
    assert (item["target"], item["question"]) == ("b", "Keeper 1 counts the")
    assert item["base"]["answer"] in item["choices"]


def test_the_group_pools_its_items(stage: Stage) -> None:
    results = stage.results("a")
    group = results["groups"]["osft_retention"]
    assert group["n"] == 24 * len(SUITE)
    for key in ("gained", "lost"):
        assert group[key] == sum(results["tasks"][name][key] for name in SUITE)


def test_a_blank_model_has_the_loss_of_pure_chance(stage: Stage, base_model: Path) -> None:
    vocabulary = json.loads((base_model / "config.json").read_text())["vocab_size"]
    holdout = stage.results("a")["holdout"]
    assert holdout["n"] == 14
    assert holdout["loss"]["tuned"] == pytest.approx(math.log(vocabulary), abs=1e-5)
    assert holdout["perplexity"]["tuned"] == pytest.approx(vocabulary, rel=1e-4)
    assert holdout["delta"] == pytest.approx(holdout["loss"]["tuned"] - holdout["loss"]["base"])
    rows = stage.samples("a", "holdout")
    assert len(rows) == 14
    assert sum(row["tokens"] for row in rows) == holdout["tokens"]
    assert (rows[12]["id"], rows[12]["tokens"]) == (13, 3)
    assert sum(row["tuned"]["answer"] is not None for row in rows) == holdout["generated"] == 3


def test_rows_that_no_model_can_read_are_left_out_with_the_reason(stage: Stage) -> None:
    reasons = [entry["reason"] for entry in stage.results("a")["skipped"]]
    assert reasons == [
        "1 of them, the first in line 15: longer than the 1024 tokens that the models read",
        "1 of them, the first in line 16: a token that one of the models does not know",
    ]


PLAIN = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
found = simple_evaluate(
    "hf", {"pretrained": sys.argv[1], "dtype": "float32"}, ["osft_capitals", "osft_grammar"], device="cpu",
    batch_size=3, limit=24, bootstrap_iters=0,
    task_manager=TaskManager(include_path=sys.argv[2], include_defaults=False),
)
items = {name: {item["doc"]["id"]: item["acc"] for item in items} for name, items in found["samples"].items()}
print(json.dumps(items), file=open(sys.argv[3], "w"))
"""


def test_every_item_scores_as_lm_eval_alone_scores_it(stage: Stage, tmp_path: Path) -> None:
    """Our scoring shares contexts; lm-eval's own does not, and its batches are others."""
    base = next((stage.workspace / "cache" / "models").iterdir())
    python = executable("eval", "python")
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path)}
    arguments = [str(base), str(OWN), str(tmp_path / "items.json")]
    subprocess.run([python, "-c", PLAIN, *arguments], env=env, check=True, capture_output=True, timeout=280)
    for name, theirs in json.loads((tmp_path / "items.json").read_text()).items():
        ours = {sample["id"]: sample["base"]["score"] for sample in stage.samples("a", name)}
        assert ours == theirs


def test_the_record_names_the_model_to_register(stage: Stage) -> None:
    record = stage.record("a")
    train = json.loads((stage.workspace / "runs/a/train/record.json").read_text())
    assert record["details"]["model"] == train["details"]["model"]
    assert record["details"]["primary_metric"] == "holdout_loss"
    assert record["metrics"]["holdout_loss_tuned"] == stage.results("a")["holdout"]["loss"]["tuned"]
    assert record["metrics"]["osft_retention_base"] == stage.results("a")["groups"]["osft_retention"]["base"]
    assert {"torch", "transformers", "lm_eval"} <= set(record["versions"])
    left = {output["path"] for output in record["outputs"]}
    assert {
        "results.json",
        "report.html",
        "report.md",
        "samples/planted.jsonl",
        "samples/holdout.jsonl",
    } <= left


def test_every_choice_made_is_reported_with_its_reason(stage: Stage, measured: tuple[int, str]) -> None:
    assert "eval chose dtype value=" in measured[1]
    assert {choice["name"] for choice in stage.record("a")["choices"]} >= {"dtype"}


def test_the_libraries_stay_quiet(measured: tuple[int, str]) -> None:
    lines = [line for line in measured[1].splitlines() if not line.startswith("20")]
    assert lines == []


def test_every_place_says_the_same_headline(stage: Stage, measured: tuple[int, str]) -> None:
    summary = stage.results("a")["summary"]
    headline, decision = summary["headline"], summary["decision"]
    assert decision.lower().endswith(f": {headline.lower()}")
    assert (stage.dir("a") / "report.md").read_text().startswith(f"# {decision}\n")
    assert f"<h1>{decision}</h1>" in (stage.dir("a") / "report.html").read_text()
    assert stage.record("a")["message"].startswith(f"{headline.rstrip('.')}; held-out loss ")
    assert stage.record("a")["message"] in measured[1]


def test_the_summary_holds_groups_first_and_points_of_shares(stage: Stage) -> None:
    results = stage.results("a")
    kept = results["summary"]["tables"]["kept"]
    assert [line["id"] for line in kept["rows"]] == ["osft_retention", *results["tasks"]]
    assert [line["group"] for line in kept["rows"]].count(True) == 1
    group = results["groups"]["osft_retention"]
    assert group["points"] == pytest.approx(100 * group["delta"])
    assert kept["columns"]["change"] == "points"
    assert float(kept["rows"][0]["change"]) == pytest.approx(group["points"], abs=0.051)
    assert set(results["summary"]["tables"]["kept"]["columns"]) <= set(kept["rows"][0])


def test_the_markdown_report_says_the_same(stage: Stage) -> None:
    text = (stage.dir("a") / "report.md").read_text()
    results = stage.results("a")
    assert f"{results['holdout']['loss']['tuned']:.3f}" in text
    assert "**Retention suite**" in text
    assert "<script" not in text
