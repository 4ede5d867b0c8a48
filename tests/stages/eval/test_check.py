"""`osft-eval --check`: what would fail after training is said before it, all at once and without a model."""

import json
import resource
import subprocess
from pathlib import Path

import pytest

from tests.stages.eval.conftest import items_of, write_tasks
from tests.support import warm
from tests.support.sandbox import executable, stage_env

LOCAL = "dataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
CHOICES = (
    "output_type: multiple_choice\ndoc_to_text: question\ndoc_to_choice: choices\ndoc_to_target: answer\n"
)
HUB = "dataset_path: allenai/ai2_arc\ndataset_name: ARC-Easy\ntest_split: test\ndoc_to_text: question\n"


def check(folder: Path, *args: str, **env: str) -> tuple[int, str, str]:
    """One check: exit code, everything printed, and the termination message."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    said = folder / "said"
    given = {
        **stage_env(folder / "nowhere", scratch),
        **warm.OFFLINE,
        "OSFT_TERMINATION_LOG": str(said),
        **env,
    }
    given = {name: value for name, value in given.items() if value and name != "OSFT_RUN_ID"}
    command = [executable("eval"), "--check", *args]
    if warm.may_fork(env):
        code, printed = warm.run(command, given, seconds=280)
    else:
        done = subprocess.run(
            command, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280
        )
        code, printed = done.returncode, done.stdout
    assert not (folder / "nowhere").exists()
    return code, printed, said.read_text() if said.exists() else ""


def own_task(folder: Path, name: str, text: str) -> None:
    """Add a task file to a user's folder."""
    (folder / f"{name}.yaml").write_text(f"task: {name}\n" + text.format(data=folder / "items.jsonl"))


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "own", items_of(4))


def test_defaults_pass_in_seconds_without_a_run_a_model_or_a_gpu(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code, printed, said = check(tmp_path, "--gpus=8")
    assert code == 0, printed
    assert said == "all is well"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 30


def test_all_problems_are_reported_at_once_each_in_a_message(tmp_path: Path, tasks: Path) -> None:
    own_task(tasks, "coded", LOCAL + CHOICES + "unsafe_code: true\n")
    code, printed, said = check(
        tmp_path,
        *("--tasks=osft_retentoin", "--tasks=coded", "--tasks=planted", "--tasks=told"),
        *(f"--include-path={tasks}", "--backend=vllm", "--batch-size=0", "--primary-metric=plantd"),
        '--gates={"tasks": {"tolled": 1, "planted": 200}}',
    )
    assert code == 2, printed
    assert "7 problems of the evaluation:" in said
    for sentence in (
        "--batch-size is '0', expected `auto` or a whole number above 0.",
        "the gate for planted is 200, expected points between 0 and 100.",
        "eval.backend is vllm and the eval image does not contain vLLM.",
        "task 'osft_retentoin' is unknown to lm-eval, to this image and to --include-path. "
        "Near: osft_retention",
        "task 'coded' runs code that the model writes",
        "eval.gates.tasks names 'tolled', which is not evaluated. Evaluated: told",
        "--primary-metric 'plantd' is not measured. Measured: holdout_loss,",
    ):
        assert sentence in said, sentence
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--backend=openai"], "--base-url is empty. Set eval.baseUrl"),
        (["--include-path=/nowhere/tasks"], "--include-path /nowhere/tasks is not a folder"),
        (["--tasks=none", "--no-holdout"], "there is nothing to evaluate"),
        (["--gates={"], "'{' is not JSON"),
        (
            ["--backend=openai", "--base-url=http://server:8000/v1/chat/completions"],
            "osft_verbs, osft_grammar need log-probabilities, which "
            "http://server:8000/v1/chat/completions does not give.",
        ),
        (
            ["--backend=openai", "--base-url=http://server:8000/v1/chat/completions", "--tasks=none",
             "--primary-metric=holdout_loss"],
            "--primary-metric 'holdout_loss' is not measured. Measured: holdout_exact_match.",
        ),
        (["--primary-metric=holdout_loss", "--no-holdout"], "Measured: osft_retention, osft_capitals,"),
        (
            ["--no-holdout", '--gates={"holdoutMustImprove": true}'],
            "eval.gates.holdoutMustImprove needs the held-out loss, and it is not measured",
        ),
        (
            ['--gates={"tasks": {"osft_verb": 1}}'],
            "eval.gates.tasks names 'osft_verb', which is not evaluated. Evaluated: osft_verbs",
        ),
    ],
)  # fmt: skip
def test_a_problem_of_the_settings_is_known_before_training(
    tmp_path: Path, args: list[str], sentence: str
) -> None:
    code, printed, said = check(tmp_path, *args)
    assert code == 2, printed
    assert sentence in said
    assert "Traceback" not in printed


BROKEN = {
    "not YAML": ("task: broken\n  x: [", "The file {folder}/broken.yaml there cannot be read"),
    "not a map": ("- broken\n", "The file {folder}/broken.yaml there cannot be read"),
    "an include that is missing": (
        "include: nowhere_yaml\ntask: broken\n",
        "The file {folder}/broken.yaml there cannot be read",
    ),
    "an unknown key": ("task: broken\nshots: 3\n" + LOCAL + CHOICES, "shots"),
    "an unknown output type": ("task: broken\noutput_type: guess\n" + LOCAL, "'guess'"),
    "an unknown metric": (
        "task: broken\n" + LOCAL + CHOICES + "metric_list: [{{aggregation: mean}}]\n",
        "'metric' key not provided",
    ),
    "an invalid template": (
        "task: broken\n" + LOCAL + CHOICES.replace("text: question", "text: '{{{{ question'"),
        "task 'broken'",
    ),
    "a column that is missing": (
        "task: broken\n" + LOCAL + CHOICES.replace("text: question", "text: '{{{{ query }}}}'"),
        "query",
    ),
    "no split": (
        "task: broken\n" + LOCAL.replace("test_split: test", "test_split: valid") + CHOICES,
        "valid",
    ),
    "no data": ("task: broken\n" + LOCAL.replace("{data}", "{data}.gone") + CHOICES, "items.jsonl.gone"),
    "a function that is missing": (
        "task: broken\n" + LOCAL + CHOICES.replace("text: question", "text: !function own.text"),
        "own",
    ),
    "no dataset": ("task: broken\n" + CHOICES, "task 'broken'"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_task_file_that_is_broken_is_named_with_the_cause(tmp_path: Path, tasks: Path, kind: str) -> None:
    text, seen = BROKEN[kind]
    (tasks / "broken.yaml").write_text(text.format(data=tasks / "items.jsonl"))
    code, printed, said = check(tmp_path, "--tasks=broken", "--tasks=planted", f"--include-path={tasks}")
    assert code == 2, printed
    assert said.startswith("task 'broken' "), said
    assert seen.format(folder=tasks) in said, said
    assert "Traceback" not in printed and "bug" not in said


@pytest.mark.parametrize(
    ("items", "seen"),
    [
        ("", "has no items that lm-eval can read"),
        ('{"question": \n', "task 'planted' cannot be loaded"),
        ('{"question": "a", "choices": ["a"], "answer": 7}\n', "task 'planted' cannot"),
    ],
)
def test_items_that_cannot_be_used_are_named(tmp_path: Path, tasks: Path, items: str, seen: str) -> None:
    (tasks / "items.jsonl").write_text(items)
    code, printed, said = check(tmp_path, "--tasks=planted", f"--include-path={tasks}")
    assert code == 2, printed
    assert seen in said, said


def test_more_shots_than_there_are_items_are_named(tmp_path: Path, tasks: Path) -> None:
    code, printed, said = check(tmp_path, "--tasks=planted", f"--include-path={tasks}", "--num-fewshot=5")
    assert code == 2, printed
    assert "task 'planted' cannot be asked with 5 shots" in said, said
    assert "eval.fewshot" in said
    code, printed, said = check(tmp_path, "--tasks=planted", f"--include-path={tasks}", "--num-fewshot=4")
    assert code == 0, printed


def test_a_benchmark_of_the_hub_is_named_where_downloads_are_off_and_left_where_they_are_on(
    tmp_path: Path, tasks: Path
) -> None:
    own_task(tasks, "my_arc", HUB)
    (tasks / "both.yaml").write_text("group: both\ntask: [planted, my_arc]\n")
    arguments = ("--tasks=both", f"--include-path={tasks}")
    code, printed, said = check(tmp_path, *arguments)
    assert code == 2, printed
    assert "task 'both' needs items that are neither in this image nor among the benchmarks" in said
    assert "Set eval.downloadBenchmarks to true" in said
    code, printed, said = check(tmp_path, *arguments, "--download-benchmarks")
    assert code == 0 and "not checked" in printed, printed
    on = dict.fromkeys(warm.OFFLINE, "") | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    code, printed, said = check(tmp_path, *arguments, '--gates={"tasks": {"my_arc": 2}}', **on)
    assert code == 0, printed
    assert "not checked" in printed and "both" in printed
    own_task(tasks, "my_arc", HUB + "unsafe_code: true\n")
    code, printed, said = check(tmp_path, *arguments, **on)
    assert code == 2, printed
    assert "task 'my_arc' runs code that the model writes" in said


def test_groups_patterns_and_names_of_lm_evals_own_are_known(tmp_path: Path) -> None:
    on = dict.fromkeys(warm.OFFLINE, "")
    gates = json.dumps({"tasks": {"mmlu_stem": 2, "mmlu_anatomy": 3, "arc_easy": 1, "osft_verbs": 5}})
    code, printed, said = check(
        tmp_path, "--tasks=mmlu", "--tasks=arc_*", "--tasks=osft_retention", f"--gates={gates}",
        "--primary-metric=mmlu", **on,
    )  # fmt: skip
    assert code == 0, printed
    code, printed, said = check(tmp_path, "--tasks=humaneval", **on)
    assert code == 2, printed
    assert "task 'humaneval' runs code that the model writes" in said


def test_text_of_a_task_moves_no_cursor(tmp_path: Path, tasks: Path) -> None:
    own_task(tasks, "broken", LOCAL + 'output_type: "a\\e[2J\\nERROR\\u202e"\n')
    code, printed, said = check(tmp_path, "--tasks=broken", f"--include-path={tasks}")
    assert code == 2, printed
    assert not {"\x1b", "\u202e"} & set(printed + said)
    assert "\\x1b[2J" in said


def test_help_describes_the_check() -> None:
    done = subprocess.run([executable("eval"), "--help"], capture_output=True, text=True, check=True)
    assert "--check" in done.stdout
