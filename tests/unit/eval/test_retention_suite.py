"""The retention suite that the eval image ships: its items, their sources, and lm-eval's view of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TASKS = ROOT / "images/eval/osft_eval/tasks"
FAMILIES = ["capitals", "currencies", "elements", "opposites", "verbs", "grammar"]

Item = dict[str, Any]


def items(family: str) -> list[Item]:
    lines = (TASKS / f"data/{family}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_group_holds_every_family_and_600_items_together() -> None:
    group = yaml.safe_load((TASKS / "osft_retention.yaml").read_text(encoding="utf-8"))
    assert group["task"] == [f"osft_{family}" for family in FAMILIES]
    assert {path.stem for path in (TASKS / "data").iterdir()} == {*FAMILIES, "instructions", "turns"}
    assert sum(len(items(family)) for family in FAMILIES) >= 600


@pytest.mark.parametrize("family", FAMILIES)
def test_every_item_is_a_short_question_with_its_answer_once_among_distinct_choices(family: str) -> None:
    for item in items(family):
        assert list(item) == ["id", "context", "choices", "answer"], item
        assert item["id"].startswith(f"{family}-"), item
        assert len(item["choices"]) == (2 if family == "grammar" else 4), item
        folded = [choice.casefold() for choice in item["choices"]]
        assert len(set(folded)) == len(folded), item
        assert 0 <= item["answer"] < len(item["choices"]), item
        for text in [item["context"], *item["choices"]]:
            assert text and text == text.strip() and len(text) < 80, item


@pytest.mark.parametrize("family", FAMILIES)
def test_no_item_occurs_twice(family: str) -> None:
    every = items(family)
    assert len({item["id"] for item in every}) == len(every)
    assert len({item["context"] for item in every}) == len(every)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_right_answer_has_no_favourite_position(family: str) -> None:
    every = items(family)
    positions = [item["answer"] for item in every]
    fair = len(every) / len(every[0]["choices"])
    for position in range(len(every[0]["choices"])):
        assert 0.5 * fair <= positions.count(position) <= 1.5 * fair


@pytest.mark.parametrize(
    ("identity", "context", "answer"),
    [
        ("capitals-fr", "The capital of France is", "Paris"),
        ("currencies-jp", "The currency of Japan is the", "yen"),
        ("elements-fe", "The chemical symbol for iron is", "Fe"),
        ("opposites-push", "The opposite of push is", "pull"),
        ("verbs-past-bring", "Every day they bring. Yesterday they", "brought"),
        ("grammar-phrase-key", "The key to the cabinets", "is"),
    ],
)
def test_a_well_known_item_has_its_well_known_answer(identity: str, context: str, answer: str) -> None:
    (item,) = [item for item in items(identity.split("-")[0]) if item["id"] == identity]
    assert (item["context"], item["choices"][item["answer"]]) == (context, answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sources_name_each_family_with_its_true_number_of_items(family: str) -> None:
    rows = (TASKS / "SOURCES.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]
    (measured,) = [row for row in cells if row[0] == f"osft_{family}"]
    assert int(measured[1]) == len(items(family))
    (source,) = [row for row in cells if row[0] == family]
    assert len(source) == 4 and all(source)


LOAD = """
import json, sys
from lm_eval.tasks import TaskManager
loaded = TaskManager(include_path=sys.argv[1], include_defaults=False).load(["osft_retention"])
seen = {}
for name, task in loaded["tasks"].items():
    docs = list(task.eval_docs)
    first = docs[0]
    seen[name] = {
        "count": len(docs),
        "type": task.config.output_type,
        "shots": task.config.num_fewshot,
        "primary": task.config.metadata["primary_metric"],
        "metrics": list(task.higher_is_better()),
        "question": [task.doc_to_text(first), task.doc_to_choice(first), task.doc_to_target(first)],
    }
print(json.dumps(seen))
"""


def test_lm_eval_finds_the_suite_wherever_it_lies_and_writes_nothing(tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere/tasks"
    shutil.copytree(TASKS, moved, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / "home"
    command: list[str | Path] = [ROOT / ".venvs/eval/bin/python", "-B", "-c", LOAD, moved]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(home)}
    ran = subprocess.run(
        command, env={**os.environ, **offline}, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    )
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert list(seen) == [f"osft_{family}" for family in FAMILIES]
    for family in FAMILIES:
        task, every = seen[f"osft_{family}"], items(family)
        assert (task["count"], task["type"], task["shots"]) == (len(every), "multiple_choice", 0)
        assert task["primary"] in task["metrics"]
        assert task["question"] == [every[0]["context"], every[0]["choices"], every[0]["answer"]]
    assert not list(home.rglob("*.arrow"))
