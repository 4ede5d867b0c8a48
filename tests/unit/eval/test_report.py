"""What the report says is known to be true."""

import re
from pathlib import Path
from typing import Any

import pytest

from osft_eval.report import examples, view
from osft_eval.report.summary import kept_table


def row(number: int, was: float | None, now: float | None) -> dict[str, Any]:
    sides = {"base": {"loss": was, "answer": "b"}, "tuned": {"loss": now, "answer": "t"}}
    return {"id": number, "messages": [{"role": "user", "content": "?"}], "target": "a", **sides}


@pytest.mark.parametrize(
    ("changes", "titles"),
    [
        ([-1, -2, -3, -4, 1], ["Where it learned least", "Where it learned most"]),
        ([-1, -2], ["Where it learned most"]),
        ([1, 2, 3, 4], ["Where the loss changed worst", "Where the loss changed best"]),
        ([-1, 2, 3, 4], ["Where the loss changed worst", "Where the loss changed best"]),
        ([None, None], ["Some answers"]),
        ([], []),
    ],
)
def test_examples_stand_under_a_title_that_is_true(changes: list[float | None], titles: list[str]) -> None:
    rows = [
        row(at, None if change is None else 5.0, None if change is None else 5.0 + change)
        for at, change in enumerate(changes)
    ]
    found = examples.of_rows(rows)
    assert [section["title"] for section in found] == titles
    assert sum(len(section["cases"]) for section in found) == len(changes)


def task(**fields: Any) -> dict[str, Any]:
    return {
        "title": "wikitext", "metric": "word_perplexity", "higher_is_better": False, "n": 7, "base": 12.0,
        "tuned": 40.0, "delta": 28.0, "gained": None, "lost": None, "p_value": None, "interval": None,
        "detectable": None, "verdict": "untested", **fields,
    }  # fmt: skip


def test_figures_that_were_not_worked_out_leave_their_cells_empty() -> None:
    few = task(
        metric="acc", base=0.5, tuned=0.5, delta=0.0, gained=0, lost=0, p_value=1.0, interval=[-0.3, 0.3]
    )
    tasks = {"wikitext": task(), "few": few}
    seen = view.kept_view(kept_table(tasks, {}), {}, tasks, {})
    assert seen["power"] == []
    assert [(line["change"], line["p"]) for line in seen["rows"]] == [("+28", "-"), ("0.0", "1.00")]
    assert seen["rows"][0]["chart"] is None


def test_every_table_of_the_page_becomes_blocks_on_a_phone() -> None:
    """A block names its figures by `data-label`; tests/stages/eval/test_page.py looks at two tables."""
    page = (Path(view.__file__).parent / "page.html").read_text()
    tables, cells = re.findall(r"<table[^>]*>", page), re.findall(r"<td[^>]*>", page)
    assert len(tables) == 4 and all("stacked" in table for table in tables)
    assert cells and all("data-label=" in cell for cell in cells)
