"""The most informative items: answers that were lost, rows where the loss moved most."""

from collections.abc import Mapping, Sequence
from typing import Any

from osft_workspace.words import capital

LOST_IN_TASK, LOST_SHOWN = 4, 12
BEST, WORST = 3, 3
LONGEST = 600


def of_tasks(
    tasks: Mapping[str, Mapping[str, Any]], samples: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Items that the base answered better, a few of each task; the tasks that lost most come first."""
    found = []
    order = sorted(tasks, key=lambda name: (tasks[name]["verdict"] != "worse", -(tasks[name]["lost"] or 0)))
    for name in order:
        task = tasks[name]
        sign = 1 if task["higher_is_better"] else -1
        fell = [
            (sign * (sample["base"]["score"] - sample["tuned"]["score"]), sample)
            for sample in samples.get(name, [])
            if sample["base"]["score"] is not None and sample["tuned"]["score"] is not None
        ]
        worst = sorted((pair for pair in fell if pair[0] > 0), key=lambda pair: -pair[0])[:LOST_IN_TASK]
        found += [
            {
                "task": capital(task["title"]),
                "question": short(sample["question"]),
                "right": short(sample["target"]),
                "base": short(sample["base"]["answer"]),
                "tuned": short(sample["tuned"]["answer"]),
            }
            for _, sample in worst
        ]
    return found[:LOST_SHOWN]


def of_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answered rows under a title each: whose loss fell least or rose, then those whose loss fell most."""
    answered = [row for row in rows if row["tuned"]["answer"] is not None]
    if any(change(row) is None for row in answered):
        return sections(("Some answers", answered[: BEST + WORST]))
    order = sorted(answered, key=change)
    best = order[:BEST]
    worst = [row for row in order[::-1][:WORST] if row not in best]
    if all(change(row) < 0 for row in best):
        return sections(("Where it learned least", worst), ("Where it learned most", best))
    return sections(("Where the loss changed worst", worst), ("Where the loss changed best", best))


def change(row: Mapping[str, Any]) -> Any:
    """Change of loss per token; None where it was not measured."""
    was, now = row["base"]["loss"], row["tuned"]["loss"]
    return None if was is None or now is None else now - was


def sections(*titled: tuple[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Titles with their rows; none without rows."""
    return [{"title": title, "cases": [example(row) for row in rows]} for title, rows in titled if rows]


def example(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row with both answers."""
    asked = [message for message in row["messages"] if message["role"] == "user"]
    was, now = row["base"]["loss"], row["tuned"]["loss"]
    return {
        "question": short(asked[-1]["content"] if asked else ""),
        "reference": short(row["target"]),
        "base": short(row["base"]["answer"]),
        "tuned": short(row["tuned"]["answer"]),
        "loss": "" if change(row) is None else f"loss {was:.2f} \N{RIGHTWARDS ARROW} {now:.2f}",
    }


def short(text: Any) -> str:
    """Return a text short enough to compare at a glance."""
    whole = "" if text is None else str(text).strip()
    return whole if len(whole) <= LONGEST else whole[:LONGEST].rstrip() + " …"
