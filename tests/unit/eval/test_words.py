"""How results are worded."""

from typing import Any

import pytest

from osft_eval.report.decision import decision
from osft_eval.report.gates import gates_in_words
from osft_eval.report.summary import headline, wording
from osft_workspace.words import p_text, percent, signed, signed_plain, typeset
from tests.support.eval_results import Task, eval_results


@pytest.mark.parametrize(
    ("value", "text"), [(1.25, "+1.2"), (-8.64, "-8.6"), (0.04, "0.0"), (-0.04, "0.0"), (0.0, "0.0")]
)
def test_a_change_has_its_sign_unless_it_rounds_to_nothing(value: float, text: str) -> None:
    assert signed(value) == text


def test_a_change_that_is_not_a_share_has_the_digits_of_its_figures() -> None:
    assert [signed_plain(value) for value in (28.0, -0.01234, 0.0)] == ["+28", "-0.01234", "0"]


def test_shares_and_p_values_read_well() -> None:
    assert percent(0.8232) == "82.3 %"
    assert [p_text(p) for p in (None, 0.0001, 0.0123, 0.77)] == ["-", "< 0.001", "0.012", "0.77"]


def test_a_page_sets_figures_with_real_signs_and_leaves_words_alone() -> None:
    assert [typeset(text) for text in ("-8.6", "82.3 %", "-", "< 0.001", "a-1 up-2.5 between -1 and +2")] == [
        "−8.6", "82.3\u202f%", "–", "<\u202f0.001", "a-1 up-2.5 between −1 and +2"  # noqa: RUF001
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("learned", "kept", "sentence"),
    [
        ("learned", "unchanged", "It learned the new rows, and no forgetting was found."),
        ("learned", "better", "It learned the new rows, and no forgetting was found."),
        ("learned", "worse", "It learned the new rows, but it forgot some of what it knew."),
        ("worse", "unchanged", "It got worse on the new rows, but no forgetting was found."),
        ("unclear", "worse", "It did not clearly learn the new rows, and it forgot some of what it knew."),
        ("learned", "untested", "It learned the new rows."),
        ("untested", "worse", "It forgot some of what it knew."),
        ("untested", "untested", "Nothing could be tested item by item."),
    ],
)
def test_the_headline_says_what_was_found(learned: str, kept: str, sentence: str) -> None:
    assert headline(learned, kept) == sentence


@pytest.mark.parametrize(
    ("learned", "kept", "failures", "word"),
    [
        ("learned", "unchanged", [], "Ship it"),
        ("learned", "better", [], "Ship it"),
        ("learned", "unchanged", ["a fell"], "Do not ship"),
        ("learned", "worse", [], "Look before you ship"),
        ("learned", "untested", [], "Look before you ship"),
        ("untested", "unchanged", [], "Look before you ship"),
        ("unclear", "unchanged", [], "Do not ship"),
        ("worse", "better", [], "Do not ship"),
    ],
)
def test_the_first_sentence_says_what_to_do(learned: str, kept: str, failures: list[str], word: str) -> None:
    assert decision("It did so.", learned, kept, {"failures": failures}) == f"{word}: it did so."


def held_out(was: float, now: float, rouge: float = 0.3) -> dict[str, Any]:
    same = {"base": 0.1, "tuned": 0.1}
    return {
        "exact_match": same,
        "contains": {"base": was, "tuned": now},
        "f1": same,
        "rouge_l": {"base": 0.2, "tuned": rouge},
        "bleu": same,
    }


def test_a_lower_loss_alone_is_called_what_it_is() -> None:
    sentence = "The answers are closer in wording to the references; not more of them are right."
    assert wording(held_out(0.2, 0.2), "learned") == sentence
    assert wording(held_out(0.2, 0.3), "learned") == wording(held_out(0.2, 0.2), "unclear") == ""
    assert wording({}, "learned") == ""
    only = "Only the loss fell: the answers did not come closer to the references, and not more are right."
    assert all(wording(held_out(0.2, 0.2, rouge), "learned") == only for rouge in (0.2, 0.1))


FELL = {"a": Task("capitals", 200, 180, 0, 20)}
KEPT = {"a": Task("capitals", 200, 180, 1, 2)}
SURE = "Capitals fell by 10.0 points, more than expected by chance, and"


@pytest.mark.parametrize(
    ("rules", "tasks", "state", "sentence"),
    [
        ({}, KEPT, "open", "No gates set."),
        ({"maxTaskDrop": 3}, KEPT, "passed",
         "Gates passed: Capitals is closest to its limit: it fell by 0.5 points, and 3 are allowed."),
        ({"maxTaskDrop": 3}, {"a": Task("capitals", 200, 180, 2, 2)}, "passed",
         "Gates passed: No gated task or group fell."),
        ({"holdoutMustImprove": True}, KEPT, "passed", "Gates passed."),
        ({}, FELL, "open", f"No gates set: {SURE} no gate limits it."),
        ({"maxTaskDrop": 12}, FELL, "allowed", f"Gates passed: {SURE} the gate allows 12."),
        ({"holdoutMustImprove": True}, FELL, "allowed", f"Gates passed: {SURE} no gate limits it."),
        ({"maxTaskDrop": 3, "significance": 1e-9}, FELL, "allowed",
         f"Gates passed: {SURE} eval.gates.significance does not count it."),
        ({"maxTaskDrop": 3}, FELL, "failed",
         "Gates failed: Capitals fell by 10.0 points (90.0 % before, 80.0 % after, n = 200, p < 0.001); "
         "the gate allows 3."),
    ],
)  # fmt: skip
def test_what_the_gates_made_of_a_fall_is_reported(
    rules: dict[str, Any], tasks: dict[str, Task], state: str, sentence: str
) -> None:
    found = eval_results("r", tasks, {"loss": {"base": 2.0, "tuned": 1.0}, "n": 1, "tokens": 1,
                                      "generated": 0, "p_value": 0.0, "delta": -1.0}, rules)  # fmt: skip
    said = gates_in_words(found["gates"], found["tasks"])
    assert (said["state"], said["sentence"]) == (state, sentence)
