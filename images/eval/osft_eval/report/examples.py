"""The items that tell most: answers that were lost, rows where the loss moved most."""

from collections.abc import Mapping, Sequence
from typing import Any

from osft_eval.report.words import capital

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
    """Answered rows whose loss fell most, then those whose loss fell least or rose."""
    answered = [row for row in rows if row["tuned"]["answer"] is not None]
    order = sorted(answered, key=change)
    best = order[:BEST]
    worst = [row for row in order[::-1][:WORST] if row not in best]
    return [example(row, kind) for kind, chosen in (("most", best), ("least", worst)) for row in chosen]


def change(row: Mapping[str, Any]) -> float:
    """Change of loss per token; nothing where it was not measured."""
    was, now = row["base"]["loss"], row["tuned"]["loss"]
    return 0.0 if was is None or now is None else float(now - was)


def example(row: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """One row with both answers."""
    asked = [message for message in row["messages"] if message["role"] == "user"]
    was, now = row["base"]["loss"], row["tuned"]["loss"]
    return {
        "kind": kind,
        "question": short(asked[-1]["content"] if asked else ""),
        "reference": short(row["target"]),
        "base": short(row["base"]["answer"]),
        "tuned": short(row["tuned"]["answer"]),
        "loss": "" if was is None or now is None else f"loss {was:.2f} \N{RIGHTWARDS ARROW} {now:.2f}",
    }


def short(text: Any) -> str:
    """A text short enough to compare at a glance."""
    whole = "" if text is None else str(text).strip()
    return whole if len(whole) <= LONGEST else whole[:LONGEST].rstrip() + " …"
