"""lm-eval's own tasks on items that the download stage staged from a hub, evaluated without a network."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stages.eval.conftest import Stage, village_rows
from tests.support.benchmarks import real_names
from tests.support.hub import Hub
from tests.support.sandbox import ROOT, executable, stage_env
from tests.support.stages import write_hollow_model
from tests.support.trained_run import make_trained_run

SUBJECTS = (
    "abstract_algebra", "anatomy", "astronomy", "business_ethics", "clinical_knowledge", "college_biology",
    "college_chemistry", "college_computer_science", "college_mathematics", "college_medicine",
    "college_physics", "computer_security", "conceptual_physics", "econometrics", "electrical_engineering",
    "elementary_mathematics", "formal_logic", "global_facts", "high_school_biology", "high_school_chemistry",
    "high_school_computer_science", "high_school_european_history", "high_school_geography",
    "high_school_government_and_politics", "high_school_macroeconomics", "high_school_mathematics",
    "high_school_microeconomics", "high_school_physics", "high_school_psychology", "high_school_statistics",
    "high_school_us_history", "high_school_world_history", "human_aging", "human_sexuality",
    "international_law", "jurisprudence", "logical_fallacies", "machine_learning", "management", "marketing",
    "medical_genetics", "miscellaneous", "moral_disputes", "moral_scenarios", "nutrition", "philosophy",
    "prehistory", "professional_accounting", "professional_law", "professional_medicine",
    "professional_psychology", "public_relations", "security_studies", "sociology", "us_foreign_policy",
    "virology", "world_religions",
)  # fmt: skip
VIRUS = """
task: virus
dataset_path: cais/mmlu
dataset_name: virology
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
"""
TASKS = ("arc_easy", "gsm8k", "gsm8k_cot_zeroshot", "mmlu")


@pytest.fixture(scope="module")
def staged(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the download stage printed when it staged the items of these tasks into the workspace."""
    hub, base = Hub(), tmp_path_factory.mktemp("hub")
    hub.repos = real_names(SUBJECTS)
    rows = base / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in village_rows(20)))
    model = write_hollow_model(base / "model")
    command = [
        executable("download"), f"--workspace={stage.workspace}", "--run-id=downloads", f"--uri={rows}",
        f"--model-uri={model}", "--min-tokens=0", *(f"--benchmarks={task}" for task in TASKS),
    ]  # fmt: skip
    env = stage_env(stage.workspace, stage.scratch, hub.env())
    done = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout
    hub.close()
    return done.stdout


@pytest.fixture(scope="module")
def evaluated(stage: Stage, base_model: Path, staged: str) -> str:
    """What one evaluation of them all printed."""
    make_trained_run(stage.workspace, "hub-all", base=base_model, tuned=base_model, rows=village_rows(4))
    code, printed = stage.run(
        "hub-all", *(f"--tasks={task}" for task in TASKS), "--num-fewshot=2", "--limit=3", "--chat-template",
        "--no-holdout", '--gen-kwargs={"max_gen_toks": 8}',
    )  # fmt: skip
    assert code == 0, printed
    return printed


@pytest.fixture(scope="module")
def own(stage: Stage, base_model: Path, staged: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option for a task file that asks for one of these configs: lm-eval's thousands are not read."""
    make_trained_run(stage.workspace, "hub-own", base=base_model, tuned=base_model, rows=village_rows(4))
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "virus.yaml").write_text(VIRUS)
    (folder / "other.yaml").write_text(
        VIRUS.replace("virus", "other").replace("name: virology", "name: arts")
    )
    return f"--include-path={folder}"


def benchmarks(stage: Stage, run_id: str) -> dict[str, dict[str, Any]]:
    """What the record says that was read, by dataset and config."""
    details = stage.record(run_id)["details"]
    return {f"{item['dataset']}:{item['config']}": item for item in details["benchmarks"]}


def test_a_task_by_likelihood_reads_its_items_from_the_workspace(stage: Stage, evaluated: str) -> None:
    assert 'reading a benchmark dataset="allenai/ai2_arc (ARC-Easy)" revision=aaaaaaaa' in evaluated
    result = stage.results("hub-all")["tasks"]["arc_easy"]
    assert (result["n"], result["kind"], result["metric"]) == (3, "benchmark", "acc")
    sample = stage.samples("hub-all", "arc_easy")[0]
    assert sample["question"].count("Question: Which animal is number") == 3  # two shots, of the train split
    assert sample["choices"] == ["cat", "dog", "cow", "hen"]


def test_a_task_that_generates_is_asked_with_shots_filters_and_the_chat_template(
    stage: Stage, evaluated: str
) -> None:
    results = stage.results("hub-all")["tasks"]
    for name in ("gsm8k", "gsm8k_cot_zeroshot"):
        task = results[name]
        assert (task["n"], task["metric"], task["filter"]) == (3, "exact_match", "strict-match")
    question = stage.samples("hub-all", "gsm8k")[0]["question"]
    assert question.count("<|im_start|>user") == 3 and question.count("<|im_start|>assistant") == 3
    assert stage.samples("hub-all", "gsm8k_cot_zeroshot")[0]["question"].count("<|im_start|>user") == 1


def test_a_group_of_many_configs_is_one_test_over_its_items(stage: Stage, evaluated: str) -> None:
    results = stage.results("hub-all")
    assert results["groups"]["mmlu"]["n"] == 3 * len(SUBJECTS)
    assert len(results["tasks"]) == len(SUBJECTS) + 3


def test_the_record_names_commit_and_digest_of_what_was_read(stage: Stage, evaluated: str) -> None:
    record, found = stage.record("hub-all"), benchmarks(stage, "hub-all")
    assert len(found) == len(SUBJECTS) + 2
    easy = found["allenai/ai2_arc:ARC-Easy"]
    assert (easy["revision"], easy["files"]) == ("a" * 40, 3)
    assert record["shared"] == {item["path"]: item["digest"] for item in found.values()}


def test_items_that_changed_since_download_are_not_evaluated(stage: Stage, own: str) -> None:
    command = ("--tasks=virus", "--no-holdout", own)
    code, printed = stage.run("hub-own", *command)
    assert code == 0, printed
    found = benchmarks(stage, "hub-own")["cais/mmlu:virology"]
    file = stage.workspace / found["path"] / "virology" / "test-00000-of-00001.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole + b"x")
    code, printed = stage.run("hub-own", *command, "--limit=2")
    assert code == 2, printed
    assert (
        f"the benchmark cais/mmlu (virology) in {found['path']} of the workspace is missing or has a"
        in printed
    )
    assert "Start download again: it fetches them again." in printed
    file.write_bytes(whole)
    assert stage.run("hub-own", *command, "--limit=2")[0] == 0


def test_a_benchmark_that_download_did_not_download_is_named(stage: Stage, own: str) -> None:
    code, printed = stage.run("hub-own", "--tasks=other", "--no-holdout", own)
    assert code == 2, printed
    assert "task 'other' needs items that are neither in this image nor among the benchmarks" in printed
    assert "Set eval.downloadBenchmarks to true and start download again" in printed
    pins = '--benchmark-revisions={"cais/mmlu": "v2"}'
    code, printed = stage.run("hub-own", "--tasks=virus", "--no-holdout", own, pins)
    assert code == 2 and "task 'virus' needs items" in printed, printed


def test_the_table_of_the_download_stage_is_that_of_lm_eval(tmp_path: Path) -> None:
    python, made = Path(executable("eval")).with_name("python"), tmp_path / "table.tsv"
    script = ROOT / "scripts" / "benchmark-table"
    subprocess.run([python, script, made], check=True, capture_output=True)
    kept = ROOT / "images/download/osft_download/benchmarks/lm_eval.tsv"
    assert made.read_text() == kept.read_text(), "out of date: run make generate"
