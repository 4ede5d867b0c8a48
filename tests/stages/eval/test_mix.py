"""The mix of base and tuned weights: chosen on one half of the items, judged by the other, made exactly."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stages.eval.conftest import Stage
from tests.support import warm
from tests.support.sandbox import executable, stage_env
from tests.support.tiny_model import ADJECTIVES, DAYS, NOUNS
from tests.support.trained_run import tiny_model

ITEMS = 240
LESSON = (
    "--gpus=0", "--effective-batch-size=16", "--learning-rate=3e-3", "--num-epochs=2",
    "--max-tokens-per-gpu=4096", "--max-seq-len=512", "--no-use-liger",
)  # fmt: skip
EQUAL = """
import sys
from safetensors.torch import load_file
base, tuned, mix = (load_file(f"{path}/model.safetensors") for path in sys.argv[1:4])
share = float(sys.argv[4])
assert mix.keys() == tuned.keys()
for name, value in mix.items():
    expected = (1 - share) * base[name].double() + share * tuned[name].double()
    assert (value.double() - expected).abs().max() <= 1e-6 * expected.abs().max(), name
print("equal")
"""
LOADS = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
AutoTokenizer.from_pretrained(sys.argv[1])
print(AutoModelForCausalLM.from_pretrained(sys.argv[1]).num_parameters())
"""


@dataclass(frozen=True)
class Trained:
    """A model that was really tuned, on a task of which the base model knows everything."""

    stage: Stage
    tasks: Path

    def evaluate(self, run: str, *args: str, tasks: str = "known") -> str:
        """Evaluate it; returns what is printed."""
        code, printed = self.stage.run(
            run, f"--include-path={self.tasks}", f"--tasks={tasks}", "--holdout-generate=2",
            "--holdout-max-new-tokens=3", *args,
        )  # fmt: skip
        assert code == 0, printed
        return printed


def tune(stage: Stage, run: str, *method: str) -> None:
    """Download rows, and train on them."""
    tiny, where = tiny_model(), ["--workspace", str(stage.workspace), "--run-id", run]
    source = ["--uri", str(tiny / "train.jsonl"), "--model-uri", str(tiny / "model")]
    for name, args in (
        ("download", [*source, "--subset=200", "--train-fraction=0.8"]),
        ("train", [*LESSON, *method]),
    ):
        env = stage_env(stage.workspace, stage.scratch)
        code, printed = warm.run([executable(name), *where, *args], env, seconds=280)
        assert code == 0, printed


def write_known(folder: Path, answers: Sequence[int]) -> None:
    """Write the task `known`, with the places of its right answers."""
    folder.mkdir(exist_ok=True)
    words = [*ADJECTIVES, *NOUNS, *DAYS]  # one token each: no choice is likelier because it is shorter
    items = [
        {
            "id": f"item-{at}",
            "question": f"{words[at % 27]} and {words[at // 27 + at % 7]}:",
            "choices": [f" {words[(at + step) % 27]}" for step in (0, 7, 13, 20)],
            "answer": answer,
        }
        for at, answer in enumerate(answers)
    ]
    data = folder / "items.jsonl"
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "known.yaml").write_text(
        f"task: known\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: question\ndoc_to_choice: choices\n"
        "doc_to_target: answer\ntarget_delimiter: ''\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )


@pytest.fixture(scope="module")
def trained(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Run `mixed`: what the base model answers is right, so that any change of an answer is forgotten."""
    tune(stage, "mixed", "--method=sft")
    folder = tmp_path_factory.mktemp("known")
    write_known(folder / "asked", [0] * ITEMS)
    Trained(stage, folder / "asked").evaluate("mixed")
    answers = [
        sample["choices"].index(sample["base"]["answer"]) for sample in stage.samples("mixed", "known")
    ]
    write_known(folder / "known", answers)
    return Trained(stage, folder / "known")


@pytest.fixture(scope="module")
def whole(trained: Trained) -> dict[str, Any]:
    """What the tuned model itself forgets."""
    trained.evaluate("mixed")
    return trained.stage.results("mixed")


@pytest.fixture(scope="module")
def chosen(trained: Trained, whole: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Results with the share that is chosen for half of what the tuned model forgets, and what is printed."""
    fall = -whole["tasks"]["known"]["points"]
    assert fall > 10, fall
    printed = trained.evaluate("mixed", "--mix-mode=auto", f"--mix-tolerance={fall / 2:.3f}")
    return trained.stage.results("mixed"), printed


def test_the_share_that_learned_most_within_the_tolerance_goes_on(
    chosen: tuple[dict[str, Any], str], whole: dict[str, Any]
) -> None:
    mix = chosen[0]["mix"]
    assert len(mix["shares"]) == 6
    assert [one["share"] for one in mix["shares"]] == sorted(one["share"] for one in mix["shares"])
    for one in mix["shares"]:
        assert one["holds"] == (one["fall"] + one["error"] <= mix["tolerance"])
        assert one["gain"] == pytest.approx(mix["shares"][0]["loss"] + mix["shares"][0]["gain"] - one["loss"])
    best = max((one for one in mix["shares"] if one["holds"]), key=lambda one: one["gain"])
    assert 0 < mix["share"] == best["share"] < 1
    judged, tuned = chosen[0]["tasks"]["known"], whole["tasks"]["known"]
    assert judged["n"] == mix["items"] == ITEMS // 2
    assert judged["base"] == 1
    assert 0 > judged["points"] > tuned["points"]
    assert chosen[0]["holdout"]["n"] == mix["rows"] == 20
    assert chosen[0]["summary"]["learned"] == "learned"


def test_items_that_choose_do_not_judge(trained: Trained, chosen: tuple[dict[str, Any], str]) -> None:
    work = [json.loads(path.read_text()) for path in (trained.stage.workspace / "cache/evals").iterdir()]
    sets = {
        frozenset(item["id"] for item in kept["result"]["items"]) for kept in work if kept["part"] == "known"
    }
    halves = [ids for ids in sets if len(ids) == ITEMS // 2]
    judging = {sample["id"] for sample in trained.stage.samples("mixed", "known")}
    assert len(halves) == 2
    assert judging in halves
    assert len(halves[0] | halves[1]) == ITEMS


def test_the_model_that_goes_on_is_that_sum_of_weights_in_a_plain_folder(
    trained: Trained, chosen: tuple[dict[str, Any], str]
) -> None:
    stage, share = trained.stage, chosen[0]["mix"]["share"]
    record = stage.record("mixed")
    model = record["details"]["model"]
    assert (model["path"], model["share"]) == ("eval/model", share)
    assert chosen[0]["tuned"] == model
    names = {output["path"] for output in record["outputs"] if output["path"].startswith("model/")}
    left = stage.dir("mixed").parent / "train" / "model"
    assert names == {f"model/{path.name}" for path in left.iterdir()}
    base = stage.workspace / json.loads((left.parent / "record.json").read_text())["details"]["base"]["path"]
    folder = stage.dir("mixed") / "model"
    assert warm.output("eval", EQUAL, base, left, folder, str(share)).strip().endswith("equal")
    assert warm.output("eval", LOADS, folder).strip().endswith("459392")
    assert not (stage.dir("mixed") / "work").exists()


def test_report_and_log_say_which_model_goes_on_and_why(
    trained: Trained, chosen: tuple[dict[str, Any], str]
) -> None:
    results, printed = chosen
    share = results["mix"]["share"]
    assert f"chose mix share value={share:g}" in printed
    assert 'loading model="mix of 50 %"' in printed
    sentence = results["summary"]["mix"]
    assert sentence.startswith(f"The model that goes on is a mix: {100 * share:.4g} % of the tuned weights")
    assert f"On {ITEMS // 2} items and 20 rows that do not judge it" in sentence
    for name in ("report.html", "report.md"):
        assert "Which model goes on" in (trained.stage.dir("mixed") / name).read_text()
    page = (trained.stage.dir("mixed") / "report.html").read_text()
    assert page.count('class="chosen"') == 1
    assert page.count('class="dot"') >= 7


def test_a_fixed_share_is_made_and_judged_by_everything(trained: Trained, whole: dict[str, Any]) -> None:
    trained.evaluate("mixed", "--mix-mode=fixed", "--mix-share=0.5")
    results = trained.stage.results("mixed")
    assert results["mix"] == {"mode": "fixed", "share": 0.5}
    assert results["tasks"]["known"]["n"] == ITEMS
    assert 0 > results["tasks"]["known"]["points"] > whole["tasks"]["known"]["points"]
    assert results["summary"]["mix"].endswith("as eval.mix.share says.")


def test_without_a_share_that_holds_the_one_that_fell_least_goes_on(trained: Trained) -> None:
    trained.evaluate("mixed", "--mix-mode=auto", "--mix-tolerance=0", "--mix-candidates=4")
    mix = trained.stage.results("mixed")["mix"]
    assert not any(one["holds"] for one in mix["shares"])
    assert mix["share"] == min(mix["shares"], key=lambda one: one["fall"] + one["error"])["share"] == 0.25
    assert "No share that was measured" in trained.stage.results("mixed")["summary"]["mix"]


def test_the_tuned_model_goes_on_where_nothing_was_forgotten(trained: Trained) -> None:
    printed = trained.evaluate("mixed", "--mix-mode=auto", "--mix-tolerance=100")
    results = trained.stage.results("mixed")
    assert results["mix"]["share"] == 1
    assert len(results["mix"]["shares"]) == 4, "nothing is refined"
    assert trained.stage.record("mixed")["details"]["model"]["path"] == "train/model"
    assert not (trained.stage.dir("mixed") / "model").exists()
    assert "The tuned model goes on as it is." in results["summary"]["mix"]
    assert "chose mix share value=1 " in printed


@pytest.mark.parametrize(
    ("tasks", "arg", "reason"),
    [
        ("none", "--mix-candidates=5", "eval.tasks has no task with choices"),
        ("known", "--no-holdout", "there are too few held-out rows"),
        ("known", "--holdout-limit=3", "there are too few held-out rows"),
    ],
)
def test_without_anything_to_choose_by_the_tuned_model_goes_on_and_it_is_said(
    trained: Trained, tasks: str, arg: str, reason: str
) -> None:
    printed = trained.evaluate("mixed", "--mix-mode=auto", arg, tasks=tasks)
    results = trained.stage.results("mixed")
    assert results["mix"] is None
    assert f'left out part="the mix" reason="{reason}' in printed
    assert any(reason in sentence for sentence in results["summary"]["left_out"])


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--mix-mode=fixed",), "--mix-share is empty. Set eval.mix.share"),
        (("--mix-share=0.5",), "Leave eval.mix.share empty, or set eval.mix.mode to fixed"),
        (("--mix-mode=fixed", "--mix-share=0"), "0<x<=1"),
        (
            ("--mix-mode=fixed", "--mix-share=0.5", "--backend=openai", "--base-url=http://127.0.0.1:9/v1"),
            "Set eval.backend to hf or vllm, or eval.mix.mode to off",
        ),
    ],
)
def test_options_of_the_mix_that_contradict_each_other_are_refused(
    stage: Stage, args: tuple[str, ...], sentence: str
) -> None:
    code, printed = stage.run("never", *args)
    assert code == 2, printed
    assert sentence in printed


def test_an_adapter_that_is_not_merged_is_scaled(trained: Trained) -> None:
    tune(trained.stage, "scaled", "--method=lora", "--lora-r=4", "--no-lora-merge")
    trained.evaluate("scaled", "--mix-mode=fixed", "--mix-share=0.5")
    stage = trained.stage
    assert stage.record("scaled")["details"]["model"]["path"] == "eval/adapter"
    half = stage.results("scaled")["holdout"]["loss"]
    trained.evaluate("scaled")
    full = stage.results("scaled")["holdout"]["loss"]
    assert full["tuned"] < half["tuned"] < half["base"]
    shutil.rmtree(stage.workspace / "runs" / "scaled")


def test_a_killed_search_goes_on_with_the_shares_that_are_missing(trained: Trained) -> None:
    stage = trained.stage
    args = (f"--include-path={trained.tasks}", "--tasks=known", "--holdout-generate=0")
    options = ("--mix-mode=auto", "--mix-tolerance=30", "--seed=7")
    work = stage.dir("mixed") / "work"
    with subprocess.Popen(**stage.command("mixed", *args, *options), stdout=subprocess.DEVNULL) as first:
        # Two parts of the tuned model, two of one mix.
        while first.poll() is None and len([*work.glob("*.json")] if work.is_dir() else []) < 3:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
    code, printed = stage.run("mixed", *args, *options)
    assert code == 0, printed
    assert 'chose tuned results value="2 of 2 kept"' in printed
    assert "mix measured share=1 " in printed
