"""A run that continues an earlier one: which model it takes, and what it refuses."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from osft_workspace import Outcome, Refused, Run, run_stage, tree_digest
from osft_workspace.links import Link
from tests.stages.download.support import Stage, chat, lines

FIRST = "task1-00000001"
OPS = Path(sys.executable).with_name("osft-ops")


def rows_of(stage: Stage, task: str) -> str:
    """A file of rows of one task."""
    return stage.file(f"{task}.jsonl", lines([chat(f"{task}, question {number}?") for number in range(20)]))


def train(stage: Stage, run: str, kind: str = "model", note: str = "") -> None:
    """Leave what training leaves: the base model with a file of its own, or an adapter."""

    def body(run: Run) -> Outcome:
        base = run.predecessors["download"].details["model"]
        shutil.copytree(run.workspace.root / base["path"], run.dir / kind)
        (run.dir / kind / "generation_config.json").write_text(json.dumps({"note": run.run_id + note}))
        model = {"path": f"train/{kind}", "digest": tree_digest(run.dir / kind)}
        model |= {"base": base["path"]} if kind == "adapter" else {}
        return Outcome(outputs=[kind], details={"model": model})

    inputs = {"note": note}
    run_stage("train", stage.workspace, run, inputs=inputs, needs=("download",), body=body)


def judge(stage: Stage, run: str, status: Any = "done", mix: bool = False, gates: str = "") -> None:
    """Leave what evaluation leaves."""

    def body(run: Run) -> Outcome:
        (run.dir / "results.json").write_text("{}")
        model = run.predecessors["train"].details["model"]
        if mix:
            shutil.copytree(run.workspace.run_dir(run.run_id) / "train" / "model", run.dir / "model")
            (run.dir / "model" / "generation_config.json").write_text('{"note": "mix"}')
            model = {"path": "eval/model", "digest": tree_digest(run.dir / "model"), "share": 0.5}
        outputs = ["results.json", *(["model"] if mix else [])]
        return Outcome(outputs=outputs, details={"model": model}, status=status, message="fell by 9 points.")

    needs, inputs = ("train", "download"), {"gates": gates}
    try:
        run_stage("eval", stage.workspace, run, inputs=inputs, needs=needs, body=body)
    except Refused:
        assert status == "refused"


def finish(stage: Stage, run: str, *words: str, task: str = "one") -> dict[str, Any]:
    """Leave a finished run; returns the record of its download."""
    record = stage.good("--uri", rows_of(stage, task), *words, run=run).record
    train(stage, run)
    judge(stage, run)
    return record


@pytest.fixture
def chained(stage: Stage) -> Stage:
    """A stage whose starts name a model only where they say so, and a finished run."""
    own = stage.command

    def command(*args: str, run: str = "", model: str | None = None) -> list[str]:
        words = own(*args, run=run, model="-")
        at = words.index("--model-uri")
        return [*words[:at], *words[at + 2 :]]

    stage.command = command  # type: ignore[method-assign]
    finish(stage, FIRST, "--model-uri", str(stage.model))
    return stage


def links(record: dict[str, Any]) -> list[Link]:
    """The chain in a record."""
    found: list[Link] = record["details"]["chain"]["links"]
    return found


def test_the_model_of_the_named_run_is_the_base_model_and_takes_no_room(chained: Stage) -> None:
    end = chained.good("--uri", rows_of(chained, "two"), f"--from-run={FIRST}", run="task2")
    model, (link,) = end.record["details"]["model"], links(end.record)
    tuned = chained.workspace / "runs" / FIRST / "train" / "model"
    assert model["uri"] == str(tuned)
    base = chained.workspace / model["path"]
    assert (base / "model.safetensors").samefile(tuned / "model.safetensors")
    assert (base / "generation_config.json").read_text() == json.dumps({"note": FIRST})
    assert link["run"] == FIRST and link["model"] == {"path": "train/model", "digest": tree_digest(tuned)}
    assert link["base"]["uri"] == str(chained.model)
    assert set(link["records"]) == {"download", "train", "eval"}
    assert f"continues run={FIRST} records=verified held_out=2" in end.printed


def test_an_address_of_the_claim_names_the_model_on_a_cluster(chained: Stage) -> None:
    words = ("--uri", rows_of(chained, "two"), f"--from-run={FIRST}")
    record = chained.good(*words, run="task2", OSFT_WORKSPACE_CLAIM="ws").record
    assert record["details"]["model"]["uri"] == f"pvc://ws/runs/{FIRST}/train/model"


def test_a_mix_goes_on_in_place_of_the_tuned_model(chained: Stage) -> None:
    judge(chained, FIRST, mix=True, gates="other")
    record = chained.good("--uri", rows_of(chained, "two"), f"--from-run={FIRST}", run="task2").record
    (link,) = links(record)
    assert link["model"]["path"] == "eval/model" and link["model"]["share"] == 0.5
    base = chained.workspace / record["details"]["model"]["path"]
    assert (base / "generation_config.json").read_text() == '{"note": "mix"}'


def test_a_release_means_its_newest_finished_run_and_the_record_says_which(chained: Stage) -> None:
    finish(chained, "task1-00000002", "--model-uri", str(chained.model), task="one again")
    newest = chained.workspace / "runs" / "task1-00000002" / "eval" / "record.json"
    values = json.loads(newest.read_text())
    values["timings"]["ended"] = "2999-01-01T00:00:00+00:00"
    newest.write_text(json.dumps(values))
    chained.good("--uri", rows_of(chained, "later"), run="task1-00000003", OSFT_MODEL_URI=str(chained.model))
    record = chained.good("--uri", rows_of(chained, "two"), "--from-run=task1", run="task2").record
    assert record["details"]["chain"]["asked"] == "task1"
    assert links(record)[-1]["run"] == "task1-00000002"


def test_a_third_task_records_both_runs_before_it_and_relies_on_their_held_out_rows(chained: Stage) -> None:
    first = json.loads((chained.workspace / "runs" / FIRST / "download" / "record.json").read_text())
    second = finish(chained, "task2", f"--from-run={FIRST}", task="two")
    third = chained.good("--uri", rows_of(chained, "three"), "--from-run=task2", run="task3").record
    assert [link["run"] for link in links(third)] == [FIRST, "task2"]
    assert links(third)[0] == links(second)[0]
    tokens = {record["details"]["tokens"]["path"] for record in (first, second, third)}
    assert len(tokens) == 3 and tokens <= set(third["shared"])
    assert third["details"]["model"]["uri"].endswith("runs/task2/train/model")


def test_held_out_rows_that_are_gone_are_named_and_the_run_goes_on(chained: Stage) -> None:
    finish(chained, "task2", f"--from-run={FIRST}", task="two")
    first = json.loads((chained.workspace / "runs" / FIRST / "download" / "record.json").read_text())
    tokens = first["details"]["tokens"]["path"]
    shutil.rmtree(chained.workspace / "runs" / FIRST)
    shutil.rmtree(chained.workspace / tokens)
    end = chained.good("--uri", rows_of(chained, "three"), "--from-run=task2", run="task3")
    assert re.search(
        rf'run={FIRST} records="its record of download is gone" held_out="{tokens} is gone"', end.printed
    )
    assert tokens not in end.record["shared"]


def test_another_model_of_the_parent_is_another_result_and_another_judgement_is_not(chained: Stage) -> None:
    words = ("--uri", rows_of(chained, "two"), f"--from-run={FIRST}")
    before = chained.good(*words, run="task2").record
    judge(chained, FIRST, gates="other")
    assert "already done" in chained.good(*words, run="task2").printed
    train(chained, FIRST, note="again")
    judge(chained, FIRST, gates="other")
    again = chained.good(*words, run="task2")
    assert "inputs changed, running again changed=contents,parent" in again.printed
    assert again.record["details"]["model"]["digest"] != before["details"]["model"]["digest"]


@pytest.mark.parametrize("asked", [FIRST, "task1"])
def test_a_finished_run_stays_finished_when_its_parent_was_removed(chained: Stage, asked: str) -> None:
    words = ("--uri", rows_of(chained, "two"), f"--from-run={asked}")
    chained.good(*words, run="task2")
    shutil.rmtree(chained.workspace / "runs" / FIRST)
    assert "already done" in chained.good(*words, run="task2").printed


def refusal(stage: Stage, *words: str, run: str = "task2") -> str:
    """What a start that must fail says."""
    return stage.run("--uri", rows_of(stage, "two"), *words, run=run).failed(2)


def test_an_unknown_run_is_refused_with_the_runs_that_there_are(chained: Stage) -> None:
    error = refusal(chained, "--from-run=task7")
    assert "model.fromRun is 'task7'" in error and "no such run" in error
    assert f"Runs there: {FIRST} (finished)" in error


def test_a_workspace_without_runs_is_taken_for_another_claim(stage: Stage) -> None:
    words = stage.command("--uri", rows_of(stage, "two"), "--from-run=task1")
    del words[words.index("--model-uri") : words.index("--model-uri") + 2]
    stage.command = lambda *args, **more: words  # type: ignore[method-assign,assignment]
    error = stage.run().failed(2)
    assert "It has no run" in error and "set workspace.existingClaim to the claim of that run" in error


@pytest.mark.parametrize("asked", ["half", "half-00000001"])
def test_an_unfinished_run_is_refused(chained: Stage, asked: str) -> None:
    run = "half-00000001"
    chained.good("--uri", rows_of(chained, "half"), "--model-uri", str(chained.model), run=run)
    assert "is not finished" in refusal(chained, f"--from-run={asked}")
    train(chained, run)
    error = refusal(chained, f"--from-run={asked}")
    assert "is not finished" in error and f"{FIRST} (finished)" in error


def test_a_run_whose_gate_failed_is_refused(chained: Stage) -> None:
    judge(chained, FIRST, "refused", gates="strict")
    error = refusal(chained, f"--from-run={FIRST}")
    assert "failed the gate of eval (fell by 9 points)" in error
    assert "task1-00000001 (failed the gate of eval)" in error


def test_a_run_whose_training_was_repeated_after_its_evaluation_is_refused(chained: Stage) -> None:
    train(chained, FIRST, note="again")
    assert "its eval was made from another result of train" in refusal(chained, f"--from-run={FIRST}")


def test_an_adapter_that_was_left_alone_is_refused(chained: Stage) -> None:
    train(chained, FIRST, "adapter", note="lora")
    judge(chained, FIRST)
    error = refusal(chained, f"--from-run={FIRST}")
    assert "left an adapter that was not merged (train/adapter; train.lora.merge is false)" in error
    assert "Run it again with train.lora.merge: true, or continue another run" in error


@pytest.mark.parametrize("harm", ["changed", "record", "gone"])
def test_a_parent_that_is_not_what_its_records_say_is_refused(chained: Stage, harm: str) -> None:
    folder = chained.workspace / "runs" / FIRST / "train"
    if harm == "gone":
        shutil.rmtree(folder / "model")
    else:
        (folder / "model" / "generation_config.json").write_text("{}")
    if harm == "record":  # a record that fits the changed file is not the one that evaluation read
        values = json.loads((folder / "record.json").read_text())
        values["details"]["model"]["digest"] = tree_digest(folder / "model")
        (folder / "record.json").write_text(json.dumps(values))
    error = refusal(chained, f"--from-run={FIRST}")
    expected = {
        "changed": "have another digest than sha256:",
        "record": "its eval was made from another result of train",
        "gone": "is gone: there is no",
    }
    assert expected[harm] in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            (f"--from-run={FIRST}", "--model-uri=hf://org/base"),
            "both name the base model. Remove one of them",
        ),
        ((f"--from-run={FIRST}", "--model-revision=main"), "a run has no revisions. Remove model.revision"),
        (("--from-run=task2",), "no such run"),
    ],
)
def test_a_second_base_model_and_a_missing_run_are_refused(
    chained: Stage, words: tuple[str, ...], said: str
) -> None:
    assert said in refusal(chained, *words)


def test_a_run_cannot_continue_itself_nor_one_that_came_after_it(chained: Stage) -> None:
    finish(chained, "task2", f"--from-run={FIRST}", task="two")
    error = chained.run("--uri", rows_of(chained, "one"), f"--from-run={FIRST}", run=FIRST)
    assert error.code == 2 and "is this run itself. Name an earlier one" in error.error
    error = chained.run("--uri", rows_of(chained, "one"), "--from-run=task2", run=FIRST)
    assert error.code == 2 and "continues this run itself" in error.error
    assert (chained.workspace / "runs" / FIRST / "download" / "record.json").is_file()


def test_verify_says_which_links_of_the_chain_are_as_recorded(chained: Stage) -> None:
    finish(chained, "task2", f"--from-run={FIRST}", task="two")
    words = ["verify", f"--workspace={chained.workspace}", "--run-id=task2", "--stage=download"]

    def said() -> str:
        done = subprocess.run([OPS, *words], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    assert f"continues run={FIRST} records=verified" in said()
    judge(chained, FIRST, mix=True, gates="other")
    assert 'records="its record of eval is another one: the run was made again"' in said()
