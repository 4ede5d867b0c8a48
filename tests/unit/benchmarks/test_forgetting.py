"""What `benchmarks/forgetting` makes of its results."""

import json
from pathlib import Path
from typing import Any

import pytest

from osft_forgetting import page, results
from osft_forgetting.analysis import Mean, at_equal_gain, beside, point
from osft_forgetting.data import people
from osft_forgetting.grid import METHODS, RATES, SEEDS, TASKS, chains, trainings


def line(method: str, rate: float, seed: int, gain: float, points: float, **more: Any) -> dict[str, Any]:
    """One training: loss 4 and retention 80 % before; the mix learned half and lost a fifth."""
    return {
        **{"data": "python", "method": method, "learning_rate": rate, "seed": seed},
        **{"steps": 120, "seconds": 90, "memory_gib": 3.5},
        "tuned": {"loss": [4.0, 4.0 - gain], "kept": [0.8, 0.8 + points / 100]},
        "mix": {"loss": [4.0, 4.0 - gain / 2], "kept": [0.8, 0.8 + points / 500], "share": 0.5},
        **more,
    }


def test_a_seed_is_finished_for_all_before_the_next_one_begins() -> None:
    planned = trainings(data=("python",))
    assert len(planned) == sum(len(RATES[method]) for method in METHODS) * len(SEEDS)
    assert [training.seed for training in planned] == sorted(training.seed for training in planned)
    assert len({training.name for training in planned}) == len(planned)


def test_what_has_a_line_is_not_trained_again(tmp_path: Path) -> None:
    file, planned = tmp_path / "results.jsonl", trainings()
    assert results.left(file, chains()) == chains() and len({one.name for one in chains()}) == 30
    assert results.left(file, planned) == planned
    results.add(file, {**planned[3].key(), "steps": 120})
    results.add(file, {**planned[0].key(), "rows": 16})  # of another size
    assert results.left(file, planned) == [*planned[:3], *planned[4:]]


def test_a_file_that_was_cut_off_is_not_read_as_whole(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_text('{"data": "python"}\n{"data": "pyth')
    with pytest.raises(json.JSONDecodeError):
        results.read(file)


@pytest.mark.parametrize(
    ("gain", "kept"),
    [(0.5, -1.0), (1.0, -2.0), (1.5, -4.0), (2.0, -6.0), (2.5, None), (0.0, 0.0)],
)
def test_what_is_forgotten_at_a_loss_lies_on_the_line_between_trainings(gain: float, kept: Any) -> None:
    assert at_equal_gain([(1.0, -2.0), (2.0, -6.0)], gain) == kept


def test_a_method_is_compared_at_the_loss_of_each_seed() -> None:
    lines = [
        *(line("sft", 1e-5, seed, 0.5, -1) for seed in (1, 2)),
        *(line("sft", 1e-4, seed, 1.0, -3 * seed) for seed in (1, 2)),
        *(line("osft", 1e-5, seed, 0.75, -1) for seed in (1, 2)),
        line("osft", 1e-4, 1, 1.5, -2),
    ]
    low = [one for one in lines if (one["method"], one["learning_rate"]) == ("osft", 1e-5)]
    assert beside(lines, low, "tuned", "sft") == [
        pytest.approx((-1.0, -2.0)),
        pytest.approx((-1.0, -3.5)),
    ]
    assert beside(lines, lines[-1:], "tuned", "sft") == []  # sft never learned so much
    assert point(low[0], "mix") == pytest.approx((0.375, -0.2))


def test_a_mean_has_the_interval_of_students_t() -> None:
    assert Mean.of([1.0, 2.0, 3.0]).shown(2, sign=True) == "+2.00 ± 2.48"
    assert Mean.of([1.0]).shown(1) == "1.0"


def test_the_page_is_written_between_its_marks_and_twice_the_same(tmp_path: Path) -> None:
    document = tmp_path / "forgetting.md"
    document.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    lines = [line(method, rate, 1, 10000 * rate, -1) for method in METHODS for rate in RATES[method]]
    in_a_row = {
        **chains()[1].key(), "tasks": list(TASKS), "average_loss": 2.5, "backward_transfer": -0.25,
        "kept": [0.8, 0.79],
    }  # fmt: skip
    page.write(document, tmp_path, lines, [in_a_row])
    first, picture = document.read_text(), (tmp_path / "forgetting-python.svg").read_text()
    assert first.startswith("before\n") and first.endswith("after\n") and "old" not in first
    rows = [row.split(" | ") for row in first.splitlines() if row.startswith("| osft")]
    assert [row[1:4] for row in rows[:2]] == [["1e-5", "off", ""], ["1e-5", "auto", "0.50"]]
    assert "osft, mix" in picture
    assert "| sft | 3e-5 | auto | 2.500 | -0.250 | -1.0 | 1 |" in first
    page.write(document, tmp_path, lines, [in_a_row])
    assert (document.read_text(), (tmp_path / "forgetting-python.svg").read_text()) == (first, picture)


def test_the_rows_of_json_say_what_their_answers_say() -> None:
    rows = list(people())
    assert len({question for question, _ in rows}) == len(rows) > 480 + 200
    question, answer = rows[7]
    facts = json.loads(answer)
    assert f"{facts['given']} {facts['family']}, a {facts['job']} born in {facts['born']}" in question
