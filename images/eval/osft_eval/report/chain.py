"""Earlier tasks of a chain in words: what this run's training did to each, and the matrix of all losses."""

from collections.abc import Mapping, Sequence
from typing import Any

from osft_workspace.text import counted
from osft_workspace.words import NONE, capital, listed, p_text, percent, signed

Figures = Mapping[str, Any]
READINGS = {"worse": "rose", "better": "fell", "unchanged": "no clear change"}
TONES = {"worse": "bad", "better": "good"}
COLUMNS = ("rows", "base", "tuned", "change", "p", "reading")


def in_words(found: Figures | None) -> dict[str, Any] | None:
    """Return `chain` of the summary: a line for screens, the table of earlier tasks, and the matrix."""
    if not found:
        return None
    return {
        "line": line(found),
        "columns": {"name": "earlier task", **{name: name for name in COLUMNS}},
        "rows": [cells(task) for task in found["tasks"]],
        "note": "Held-out loss of each earlier task, before and after this run; lower is better.",
        "sentence": sentence(found),
        "matrix": matrix(found),
        "first": against_first(found["first"]),
    }


def line(found: Figures) -> str:
    """Return the chain in a sentence."""
    return f"Task {len(found['runs'])} of a chain. {verdict(found['tasks'])}"


def verdict(tasks: Sequence[Figures]) -> str:
    """Return what became of the earlier tasks."""
    measured = [task for task in tasks if not task["reason"]]
    if not measured:
        return "No earlier task could be measured."
    worse = [f"{task['title']} by {task['delta']:.3f}" for task in measured if task["verdict"] == "worse"]
    if worse:
        return f"The held-out loss rose more than expected by chance: {listed(worse)}."
    which = "The earlier task was" if len(tasks) == 1 else "No earlier task was"
    return f"{which} {'not ' if len(tasks) == 1 else ''}forgotten beyond chance."


def sentence(found: Figures) -> str:
    """Return the average and the backward transfer of the chain."""
    if found["backward_transfer"] is None:
        return "Backward transfer is not known: figures of an earlier task are missing."
    earlier = counted(len(found["tasks"]), "earlier task")
    average = found["average_loss"]
    told = f"Average loss over all tasks {average:.3f}. " if average is not None else ""
    return (
        f"{told}Backward transfer {signed(found['backward_transfer'], 3)} over {earlier}: below 0, the loss "
        "of a task rose after the run that learned it."
    )


def cells(task: Figures) -> dict[str, str]:
    """Return an earlier task's row."""
    same = {"id": task["run"], "name": capital(task["title"]), "note": ", ".join(task["sources"])}
    if task["reason"]:
        return {
            **same,
            **dict.fromkeys(COLUMNS, NONE),
            "reading": f"not measured: {task['reason']}",
            "tone": "",
        }
    return {
        **same,
        "rows": f"{task['n']:,}",
        "base": f"{task['loss']['base']:.3f}",
        "tuned": f"{task['loss']['tuned']:.3f}",
        "change": signed(task["delta"], 3),
        "p": p_text(task["p_value"]),
        "reading": READINGS[task["verdict"]],
        "tone": TONES.get(task["verdict"], ""),
    }


def matrix(found: Figures) -> dict[str, Any]:
    """Return the losses of all tasks after each of them, as texts."""
    names = [f"task {number}" for number in range(1, len(found["runs"]) + 1)]
    return {
        "columns": ["loss after", *names],
        "rows": [
            [name, *(NONE if value is None else f"{value:.3f}" for value in values)]
            for name, values in zip(["first base model", *names], found["matrix"], strict=True)
        ],
    }


def against_first(first: Figures | None) -> list[str]:
    """Return how the tuned model does against the first base model, a sentence for each group, else task."""
    if not first:
        return []
    return [
        f"{capital(task['title'])}: {percent(task['base'])} with the first base model, "
        f"{percent(task['tuned'])} now ({signed(task['points'])} points, {counted(task['n'], 'item')})."
        for task in (first["groups"] or first["tasks"]).values()
        if task["points"] is not None
    ]
