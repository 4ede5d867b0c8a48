"""What a chain's results say in words, and the figures over all of its runs."""

from pathlib import Path
from typing import Any

import pytest

from osft_eval.chain import judge
from osft_eval.matrix import Matrix
from osft_eval.report import make_view, render_html, render_markdown
from osft_eval.report.chain import in_words
from osft_eval.report.summary import summarize
from tests.support.chromium import browser, find_chromium
from tests.support.eval_results import Task, eval_results

HOLDOUT = {
    "n": 20, "tokens": 200, "loss": {"base": 3.0, "tuned": 2.0}, "perplexity": {"base": 20.1, "tuned": 7.4},
    "delta": -1.0, "interval": [-1.1, -0.9], "p_value": 0.0, "test": "paired t over rows", "generated": 0,
}  # fmt: skip


def task(number: int, delta: float, p_value: float) -> dict[str, Any]:
    """An earlier task that was measured."""
    return {
        "number": number, "run": f"task{number}", "title": f"task {number} (task{number})", "reason": "",
        "sources": ["hf://org/<rows>"], "n": 1200, "loss": {"base": 1.0, "tuned": 1.0 + delta},
        "delta": delta, "p_value": p_value,
    }  # fmt: skip


def gone(number: int) -> dict[str, Any]:
    """An earlier task whose rows are not there."""
    reason = "they are gone from the workspace"
    return {
        **{key: task(number, 0, 1)[key] for key in ("number", "run", "title", "sources")},
        "reason": reason,
    }


def chain(*tasks: dict[str, Any]) -> dict[str, Any]:
    """`chain` of results.json."""
    judge([one for one in tasks if not one["reason"]])
    known = Matrix([*(one["run"] for one in tasks), "now"])
    known.add(tasks, HOLDOUT, {})
    for number in range(1, len(tasks) + 1):
        known.cells.setdefault((number, number), 1.0)
    return {"tasks": list(tasks), "first": None, **known.figures()}


def results(found: dict[str, Any]) -> dict[str, Any]:
    """results.json of a run at the end of a chain, in which no task of eval.tasks fell."""
    whole = eval_results("now", {"a": Task("World capitals", 50, 40, 0, 0)}, HOLDOUT, {})
    whole |= {"chain": found, "engine": {"backend": "hf", "device": "cpu", "dtype": "float32"}}
    return {**whole, "summary": summarize(whole)}


def test_an_earlier_task_that_was_forgotten_is_in_the_headline_and_named() -> None:
    summary = results(chain(task(1, 0.2, 0.001), task(2, -0.1, 0.5)))["summary"]
    assert summary["headline"] == "It learned the new rows, but it forgot some of what it knew."
    assert summary["verdict"] == "worse"
    assert summary["chain"]["line"] == (
        "Task 3 of a chain. The held-out loss rose more than expected by chance: task 1 (task1) by 0.200."
    )
    first, second = summary["chain"]["rows"]
    assert (first["rows"], first["change"], first["reading"], first["tone"]) == (
        "1,200",
        "+0.200",
        "rose",
        "bad",
    )
    assert second["reading"] == "no clear change"


@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        ((task(1, 0.2, 0.4),), "Task 2 of a chain. The earlier task was not forgotten beyond chance."),
        (
            (task(1, 0, 1.0), task(2, 0, 1.0)),
            "Task 3 of a chain. No earlier task was forgotten beyond chance.",
        ),
        ((gone(1),), "Task 2 of a chain. No earlier task could be measured."),
    ],
)
def test_the_line_says_what_became_of_the_earlier_tasks(tasks: tuple[dict[str, Any], ...], line: str) -> None:
    found = in_words(chain(*tasks))
    assert found is not None and found["line"] == line


def test_p_values_are_corrected_for_the_number_of_earlier_tasks() -> None:
    tasks = [task(number, 0.2, 0.02) for number in (1, 2, 3)]
    judge(tasks)
    assert [one["p_adjusted"] for one in tasks] == pytest.approx([0.06] * 3)
    assert {one["verdict"] for one in tasks} == {"unchanged"}


def test_backward_transfer_is_the_mean_change_of_earlier_tasks_since_they_were_learned() -> None:
    known = Matrix(["a", "b", "c"], {(1, 1): 1.0, (3, 1): 1.5, (2, 2): 2.0, (3, 2): 1.9, (3, 3): 0.6})
    figures = known.figures()
    assert figures["backward_transfer"] == pytest.approx((-0.5 + 0.1) / 2)
    assert figures["average_loss"] == pytest.approx((1.5 + 1.9 + 0.6) / 3)
    assert figures["matrix"][0] == [None] * 3
    del known.cells[(3, 1)]
    figures = known.figures()
    assert figures["backward_transfer"] is None and figures["average_loss"] is None


def test_the_matrix_of_a_run_that_was_made_again_in_another_chain_is_not_taken() -> None:
    known = Matrix(["a", "b", "c"])
    other = {"runs": ["x", "b"], "matrix": [[9.0, 9.0]] * 3}
    known.take(2, {"chain": other, "holdout": {"loss": {"base": 2.0, "tuned": 1.0}}})
    assert known.cells == {(1, 2): 2.0, (2, 2): 1.0}


def test_the_report_shows_tasks_that_are_gone_and_escapes_addresses() -> None:
    view = make_view(results(chain(gone(1), task(2, 0.2, 0.001))), {}, ({}, {}), {"counts": [], "rows": []})
    page, text = render_html(view), render_markdown(view)
    assert "not measured: they are gone from the workspace" in page
    assert "hf://org/&lt;rows&gt;" in page and "hf://org/<rows>" not in page
    assert "| Task 2 (task2) | 1,200 | 1.000 | 1.200 | +0.200 |" in text
    assert "Backward transfer is not known" in text


def test_no_column_of_a_table_lies_outside_a_phone(tmp_path: Path) -> None:
    long = {**task(1, 0.2, 0.001), "sources": ["pvc://a-claim-with-a-long-name/and/a/long/folder/rows.jsonl"]}
    found = results(chain(long, *(task(number, 0.2, 0.001) for number in range(2, 9))))
    page = tmp_path / "report.html"
    page.write_text(render_html(make_view(found, {}, ({}, {}), {"counts": [], "rows": []})))
    program = find_chromium()
    assert program, "no Chromium found: scripts/prerequisites test installs it"
    with browser(program) as opened:
        opened.show(page, 360)
        regions = "[...document.querySelectorAll('.scroll')]"
        assert opened.value(f"{regions}.length") >= 3
        assert opened.value(f"{regions}.filter(one => one.scrollWidth > one.clientWidth).length") == 0
        cells = "[...document.querySelectorAll('section[aria-labelledby=chain] td')]"
        labels = opened.value(f"{cells}.map(cell => getComputedStyle(cell, '::before').content)")
    assert labels[:5] == ['"Rows"', '"Base"', '"Tuned"', '"Change"', '"p"'] and '"Task 8"' in labels
