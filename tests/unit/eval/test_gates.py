"""Gates: what refuses, what passes, and the sentences."""

import math
from typing import Any

import pytest

from osft_eval import gates
from osft_eval.gates import Gates, read_gates
from osft_workspace import UserError


def task(
    title: str, base: float, tuned: float, *, p: float | None = 0.01, metric: str = "acc"
) -> dict[str, Any]:
    return {
        "title": title, "metric": metric, "higher_is_better": True, "n": 161, "base": base, "tuned": tuned,
        "p_value": p,
    }  # fmt: skip


def failures(
    rules: dict[str, Any], compared: dict[str, Any], loss: tuple[float, float] | None = None
) -> list[str]:
    holdout = {"loss": {"base": loss[0], "tuned": loss[1]}} if loss else None
    return list(gates.apply(read_gates(rules), compared, holdout, "no rows were held out")["failures"])


def test_a_fall_beyond_the_limit_rejects_with_the_figures() -> None:
    assert failures({"maxTaskDrop": 2}, {"capitals": task("Capitals", 0.826, 0.783)}) == [
        "Capitals fell by 4.3 points (82.6 % before, 78.3 % after, n = 161, p = 0.010); the gate allows 2."
    ]


def test_a_fall_of_exactly_the_limit_passes() -> None:
    assert not failures({"maxTaskDrop": 2}, {"capitals": task("World capitals", 0.82, 0.80)})


def test_without_rules_nothing_refuses() -> None:
    assert not failures({}, {"capitals": task("World capitals", 0.9, 0.1)}, (1.0, 2.0))


def test_a_tasks_own_limit_replaces_the_common_one() -> None:
    compared = {"a": task("A", 0.8, 0.7), "b": task("B", 0.8, 0.7)}
    assert [text[0] for text in failures({"maxTaskDrop": 2, "tasks": {"a": 15}}, compared)] == ["B"]
    assert [text[0] for text in failures({"tasks": {"a": 5}}, compared)] == ["A"]


def test_where_lower_is_better_a_rise_is_the_fall() -> None:
    worse = {**task("Errors", 0.1, 0.2), "higher_is_better": False}
    assert failures({"maxTaskDrop": 5}, {"errors": worse})
    assert not failures({"maxTaskDrop": 5}, {"errors": {**worse, "base": 0.2, "tuned": 0.1}})


def test_with_a_significance_a_fall_by_chance_passes() -> None:
    compared = {"a": task("A", 0.8, 0.7, p=0.2), "b": task("B", 0.8, 0.7, p=0.001)}
    found = failures({"maxTaskDrop": 2, "significance": 0.05}, compared)
    assert [text[0] for text in found] == ["B"]


def test_the_significance_counts_all_gated_tasks_together() -> None:
    compared = {name: task(name, 0.8, 0.7, p=0.02) for name in "abc"}
    assert not failures({"maxTaskDrop": 2, "significance": 0.05}, compared)


def test_the_held_out_loss_must_fall_when_asked() -> None:
    rules = {"holdoutMustImprove": True}
    assert not failures(rules, {}, (3.84, 2.69))
    assert "did not improve: 3.840 before, 3.840 after" in failures(rules, {}, (3.84, 3.84))[0]
    assert "cannot be judged: no rows were held out" in failures(rules, {})[0]


@pytest.mark.parametrize("loss", [(3.84, math.nan), (math.nan, 2.69), (math.nan, math.nan)])
def test_a_loss_that_is_not_a_number_did_not_improve(loss: tuple[float, float]) -> None:
    assert "did not improve" in failures({"holdoutMustImprove": True}, {}, loss)[0]


def test_a_metric_that_is_not_a_share_is_left_out_unless_it_is_named() -> None:
    compared = {"ppl": task("Perplexity", 12.0, 30.0, metric="word_perplexity")}
    assert not failures({"maxTaskDrop": 1}, compared)
    assert "cannot be judged in points" in failures({"tasks": {"ppl": 1}}, compared)[0]


def test_what_the_common_limit_cannot_judge_is_listed() -> None:
    compared = {
        "a": task("A", 0.8, 0.7),
        "ppl": task("Wikitext", 12.0, 40.0, p=None, metric="word_perplexity"),
    }
    assert gates.ungated(read_gates({"maxTaskDrop": 1}), compared) == [
        {
            "what": "Wikitext is not gated by maxTaskDrop",
            "reason": "its metric word_perplexity is not a share",
        }
    ]
    assert gates.ungated(read_gates({}), compared) == []
    assert gates.ungated(read_gates({"maxTaskDrop": 1, "tasks": {"ppl": 1}}), compared) == []


def test_a_gate_for_a_task_that_is_not_run_names_near_ones() -> None:
    with pytest.raises(UserError, match="osft_capitals"):
        gates.check_names(Gates(tasks={"osft_capital": 1}), ["osft_capitals", "osft_verbs"])
