"""What the tests of eval share: tiny models, planted tasks, and a few evaluations that many tests look at."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm
from tests.support.completions import Served, completions
from tests.support.sandbox import executable, stage_env
from tests.support.tiny_model import chat_rows
from tests.support.trained_run import make_trained_run, perturbed, tiny_model, with_template

HOSTILE = (
    "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\"> {{ 7*7 }} | *x*"
)
INST = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
)
"""A template that is not ChatML: no system turn, no generation prompt of its own, a line break at the end."""


@dataclass
class Stage:
    """`osft-eval` over one workspace."""

    workspace: Path
    scratch: Path
    env: dict[str, str] = field(default_factory=dict)

    def command(self, run_id: str, *args: str) -> dict[str, Any]:
        """Arguments of a process that evaluates on the CPU."""
        common = ["--workspace", str(self.workspace), "--run-id", run_id, "--gpus=0"]
        env = {**stage_env(self.workspace, self.scratch), **warm.OFFLINE, **self.env}
        return {"args": [executable("eval"), *common, *args], "env": env, "text": True}

    def run(self, run_id: str, *args: str, fork: bool = True) -> tuple[int, str]:
        """One start: exit code, and everything printed."""
        how = self.command(run_id, *args)
        if fork and warm.may_fork(self.env):
            return warm.run(how["args"], how["env"], seconds=280)
        done = subprocess.run(**how, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280)
        return done.returncode, done.stdout

    def dir(self, run_id: str) -> Path:
        return self.workspace / "runs" / run_id / "eval"

    def results(self, run_id: str) -> dict[str, Any]:
        return dict(json.loads((self.dir(run_id) / "results.json").read_text()))

    def record(self, run_id: str) -> dict[str, Any]:
        return dict(json.loads((self.dir(run_id) / "record.json").read_text()))

    def samples(self, run_id: str, name: str) -> list[dict[str, Any]]:
        lines = (self.dir(run_id) / "samples" / f"{name}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    base = tmp_path_factory.mktemp("eval")
    for name in ("workspace", "scratch"):
        (base / name).mkdir()
    return Stage(base / "workspace", base / "scratch")


@pytest.fixture(scope="session")
def base_model() -> Path:
    return tiny_model() / "model"


@pytest.fixture(scope="session")
def blank_model(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All weights 0: every token is as likely as every other."""
    return perturbed(base_model, tmp_path_factory.mktemp("blank") / "model", 0.0)


def village_rows(count: int) -> list[dict[str, Any]]:
    """Chat rows, two of them hostile to a page, one with two answers."""
    rows = chat_rows(count)
    for row in rows[:2]:
        row["messages"][1]["content"] += f" {HOSTILE}"
        row["messages"][2]["content"] += f" {HOSTILE}"
    rows[2]["messages"] += [
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "The baker rests."},
    ]
    return rows


OTHER_ROWS: list[dict[str, Any]] = [
    {"input_ids": [5, 6, 7, 8, 9, 10], "labels": [-100, 6, 7, -100, -100, 10]},
    {"document": "The keeper counts the apples near the bridge."},
    {
        "messages": [
            {"role": "user", "content": "Tell all."},
            {"role": "assistant", "content": "apples " * 2000},
        ]
    },
    {"input_ids": [5, 9999], "labels": [-100, 9999]},
]
"""Rows that are not chats, and two that no model reads: one is too long, one has a token of no vocabulary."""


LONG_NAME = "leaderboard_bbh_tracking_shuffled_objects_seven_objects"
"""A task as lm-eval names some: one word, wider than a phone."""


def write_tasks(folder: Path, items: list[dict[str, Any]]) -> Path:
    """A user's folder of lm-eval tasks on the same items: `planted` by choices, `told` by generation."""
    folder.mkdir()
    data = folder / "items.jsonl"
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    common = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
    (folder / "planted.yaml").write_text(
        f"task: planted\n{common}output_type: multiple_choice\n"
        "doc_to_text: question\ndoc_to_choice: choices\n"
        "doc_to_target: answer\nmetric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    (folder / "told.yaml").write_text(
        f"task: told\n{common}output_type: generate_until\ndoc_to_text: question\n"
        'doc_to_target: "{{choices[answer]}}"\n'
        f"metadata: {{title: {LONG_NAME}}}\n"
        "generation_kwargs: {until: ['.'], max_gen_toks: 4, do_sample: false}\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
    )
    return folder


def items_of(count: int) -> list[dict[str, Any]]:
    """Questions with four choices; the first is hostile to a page."""
    choices = ["a", "b", "c", "d"]
    items = [
        {
            "id": f"item-{number}",
            "question": f"Keeper {number} counts the",
            "choices": choices,
            "answer": number % 4,
        }
        for number in range(count)
    ]
    items[0] |= {"question": f"The keeper says {HOSTILE} and counts the", "choices": [HOSTILE, *choices[1:]]}
    return items


@pytest.fixture(scope="session")
def measured(
    stage: Stage, base_model: Path, blank_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, str]:
    """Run `a`: a random base against a blank tuned model, on planted tasks, part of the suite and 12 rows."""
    tasks = write_tasks(tmp_path_factory.mktemp("tasks") / "own", items_of(24))
    make_trained_run(
        stage.workspace, "a", base=base_model, tuned=blank_model, rows=[*village_rows(12), *OTHER_ROWS]
    )
    return stage.run(
        "a", f"--include-path={tasks}", "--tasks=planted", "--tasks=told", "--tasks=osft_retention",
        "--limit=24", "--holdout-generate=3", "--holdout-max-new-tokens=4", "--author=Ada", fork=False,
    )  # fmt: skip


REFERENCES = [
    "The cat sat on the mat.",
    "A dog barks.",
    "Birds sing in the early morning.",
    "Rain falls.",
    "The keeper counts apples.",
]
"""What the five rows of the golden numbers answer."""
BASE_ANSWERS = [
    "The cat sat on the mat.",
    "I do not know",
    "the birds sing at night",
    "",
    "It is: Rain falls.",
]
TUNED_ANSWERS = [
    "the CAT  sat on the mat.",
    "A dog barks.",
    "Birds sing in the morning.",
    "Rain falls. Always.",
    "The keeper counts the apples.",
]


def golden_rows() -> list[dict[str, Any]]:
    return [
        {"messages": [{"role": "user", "content": f"Question {at}?"}, {"role": "assistant", "content": text}]}
        for at, text in enumerate(REFERENCES)
    ]


@dataclass
class Spoken:
    """An evaluation whose models are behind a server."""

    code: int
    printed: str
    server: Served
    model: Path
    tasks: Path


@pytest.fixture(scope="session")
def spoken(stage: Stage, base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoken]:
    """Run `served`: five rows and a task on a server that knows how likely each token is."""
    folder = tmp_path_factory.mktemp("served")
    model = with_template(base_model, folder / "model", INST)
    tasks = write_tasks(folder / "own", items_of(4))
    make_trained_run(stage.workspace, "served", base=model, tuned=model, rows=golden_rows())
    answers = {
        which: {
            **{f"Question {at}?": text for at, text in enumerate(texts)},
            "Keeper": "apples", "The keeper": "no",
        }
        for which, texts in (("small-base", BASE_ANSWERS), ("small-tuned", TUNED_ANSWERS))
    }  # fmt: skip
    with completions(model, {"small-base": -0.5, "small-tuned": -0.25}, answers) as server:
        code, printed = stage.run(
            "served", "--backend=openai", f"--base-url={server.url}", "--tasks=told",
            f"--include-path={tasks}",
            '--model-args={"base": {"model": "small-base"}, "tuned": {"model": "small-tuned"}}',
            '--gen-kwargs={"temperature": 0.7, "top_p": 0.9}', "--holdout-max-new-tokens=11",
        )  # fmt: skip
        yield Spoken(code, printed, server, model, tasks)
