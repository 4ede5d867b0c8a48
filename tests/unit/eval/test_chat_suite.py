"""The tasks whose answers are generated and judged by rules."""

import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from osft_eval.catalogue import OWN_TASKS


def load_rules() -> Any:
    """Return the rules as lm-eval imports them: a file beside the task's."""
    spec = importlib.util.spec_from_file_location("rules", OWN_TASKS / "rules.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RULES = load_rules()


def items(family: str) -> list[dict[str, str]]:
    path: Path = OWN_TASKS / "data" / f"{family}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("rule", "wanted", "answer", "followed"),
    [
        ("contains", "lamp", "A Lamp, lit.", True),
        ("contains", "lamp", "Two lamps.", False),
        ("begins", "Today", "\n**Today** it rains.", True),
        ("begins", "Today", "It rains today.", False),
        ("repeats", "rice, salt and oil", '"Rice, salt and oil."', True),
        ("repeats", "rice, salt and oil", "The rice, salt and oil.", False),
        ("lists", "1 2 3", "1. Red\n2) Blue\n\n3: Green\n", True),
        ("lists", "1 2 3", "1. Red\n2. Blue", False),
        ("lists", "1 2 3", "Here they are:\n1. Red\n2. Blue\n3. Green", False),
        ("lists", "1 2 3", "1. Red\n2. Blue\n3.", False),
        ("stops", "", "Rome is the capital of Italy.", True),
        ("stops", "", "Rome is the capital of Italy, which", False),
        ("stops", "", "", False),
        ("stops", "", "word " * 25 + "end.", False),
        ("speaks", "French", "L'eau est dans la mer.", True),
        ("speaks", "French", "El agua está en el mar y en los ríos.", False),
        ("speaks", "Spanish", "El agua está en el mar y en los ríos.", True),
        ("speaks", "Spanish", "The water is in the sea.", False),
        ("speaks", "French", "Rome.", False),
    ],
)
def test_a_rule_judges_an_answer(rule: str, wanted: str, answer: str, followed: bool) -> None:
    assert RULES.judge({"rule": rule, "wanted": wanted}, [answer]) == {"followed": float(followed)}


def test_items_are_few_and_each_has_a_rule_and_its_own_question() -> None:
    for family, counts in {
        "instructions": {"contains": 12, "lists": 12, "begins": 12, "repeats": 12},
        "turns": {"stops": 24, "speaks": 16},
    }.items():
        found = items(family)
        assert Counter(item["rule"] for item in found) == counts
        assert len({item["question"] for item in found}) == len(found) == len({item["id"] for item in found})
        assert {item["rule"] for item in found} <= set(RULES.RULES)


def test_a_question_in_a_language_is_in_that_language_and_no_other() -> None:
    for item in items("turns"):
        if item["rule"] == "speaks":
            others = {"French", "Spanish", "English"} - {item["wanted"]}
            assert not any(RULES.speaks(item["question"], other) for other in others), item
