"""results.json as eval writes it, over invented answers: its own code compares, judges and words them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from osft_eval import compare, gates
from osft_eval.report.summary import summarize
from osft_workspace.contents import RESULTS_SCHEMA


class Task(NamedTuple):
    """A task whose items are right or wrong."""

    title: str
    n: int
    base: int
    """Items that the base model answers right."""
    gained: int
    lost: int


def side(scores: Sequence[float]) -> dict[str, Any]:
    """One model's part of a task."""
    items = [{"id": number, "score": score} for number, score in enumerate(scores)]
    value = sum(scores) / len(scores)
    return {"items": items, "value": value, "metric": "acc", "filter": "none", "higher_is_better": True}


def sides(task: Task) -> list[dict[str, Any]]:
    """Base and tuned model on the items of a task."""
    pairs = [(1.0, 0.0)] * task.lost + [(1.0, 1.0)] * (task.base - task.lost) + [(0.0, 1.0)] * task.gained
    pairs += [(0.0, 0.0)] * (task.n - len(pairs))
    return [side([pair[which] for pair in pairs]) for which in (0, 1)]


def eval_results(
    run_id: str,
    tasks: Mapping[str, Task],
    holdout: Mapping[str, Any] | None,
    rules: Mapping[str, Any],
    *,
    suite: tuple[str, str] = ("osft_retention", "Retention suite"),
    skipped: Sequence[Mapping[str, str]] = (),
    also: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the content of results.json.

    Args:
        holdout: held-out figures.
        rules: eval.gates.
        suite: name and title of the group of all tasks; there is none of a single task.
        also: further tasks, compared and judged.
    """
    answered = {name: sides(task) for name, task in tasks.items()}
    base, tuned = ({name: both[which] for name, both in answered.items()} for which in (0, 1))
    single = {
        name: compare.compare_task(task.title, "retention", *answered[name]) for name, task in tasks.items()
    }
    pooled = compare.compare_group(suite[1], "retention", [*tasks], base, tuned)
    groups = {suite[0]: pooled} if pooled and len(tasks) > 1 else {}
    compare.judge(single)
    compare.judge(groups)
    single |= also or {}
    found: dict[str, Any] = {
        "schema": RESULTS_SCHEMA,
        "run_id": run_id,
        "base": {"uri": "hf://org/tiny", "revision": "abc123", "digest": "sha256:0"},
        "tuned": {"path": "train/model", "digest": "sha256:1"},
        "tasks": single,
        "groups": groups,
        "holdout": holdout,
        "primary_metric": "holdout_loss",
        "skipped": list(skipped),
        "engine": {"backend": "hf"},
    }
    found["gates"] = gates.apply(gates.read_gates(dict(rules)), {**groups, **single}, holdout, "")
    return {**found, "summary": summarize(found)}
