"""The figures of each run: what it learned, what it kept, what it took. Keys are those of --json."""

import math
from collections.abc import Sequence
from typing import Any

from osft_pipeline.compare.evidence import Evidence, Row
from osft_pipeline.local.figures import stage
from osft_pipeline.local.records import Json
from osft_workspace import paired

POINTS = 100


def figures_of(one: Evidence) -> Json:
    """Return a run's own figures; null for what it does not have."""
    stages = {name: stage(record) for name, record in one.records.items()}
    training = one.records.get("train") or {}
    base = one.details("download").get("model") or one.details("train").get("base") or {}
    memory = [found["peakMemoryBytes"] or 0 for found in stages.values()]
    method = one.details("train").get("method") or (training.get("inputs") or {}).get("method")
    return {
        "letter": one.letter,
        "run": one.run,
        "where": one.where,
        "state": one.state,
        "reason": one.failure.sentence() if one.failure else None,
        "method": method,
        "base": {"uri": base.get("uri"), "digest": base.get("digest")},
        "learned": learned(one),
        "kept": kept(one),
        "verdict": one.summary.get("verdict"),
        "headline": one.summary.get("headline"),
        "gates": (one.summary.get("gates") or {}).get("state"),
        "mixShare": (one.results.get("mix") or {}).get("share"),
        "seconds": sum(found["seconds"] for found in stages.values()),
        "peakMemoryBytes": max(memory, default=0) or None,
        "stages": stages,
        "curve": curve(one.curve),
    }


def learned(one: Evidence) -> Json | None:
    """Return the held-out loss of both models; None if it was not measured."""
    holdout = one.results.get("holdout") or {}
    loss = holdout.get("loss")
    if not loss:
        return None
    return {
        "rows": holdout.get("n"),
        "base": loss["base"],
        "tuned": loss["tuned"],
        "change": holdout["delta"],
        "interval": holdout.get("interval"),
        "p": number(holdout.get("p_value")),
        "verdict": one.summary.get("learned"),
    }


def suite(results: Json) -> tuple[str, Json] | None:
    """Return the first group of several tasks, by name; None for none."""
    groups = (results.get("groups") or {}).items()
    return next(((name, group) for name, group in groups if len(group["tasks"]) > 1), None)


def kept(one: Evidence) -> Json | None:
    """Return retention: the first group of several tasks, otherwise all tasks that are shares, pooled."""
    found = suite(one.results)
    if found:
        return retention(found[1], found[1]["interval"])
    tasks = {name: task for name, task in (one.results.get("tasks") or {}).items() if is_share(task)}
    if not tasks:
        return None
    if len(tasks) == 1:
        (task,) = tasks.values()
        return retention(task, task["interval"])
    items = sum(task["n"] for task in tasks.values())
    both = {
        which: math.fsum(task["n"] * task[which] for task in tasks.values()) / items
        for which in ("base", "tuned")
    }
    pairs = [pair for name in tasks for pair in one.items.get(name, {}).values()]
    said = paired.tested(pairs) if len(pairs) == items else {}
    pooled = {"title": f"{len(tasks)} tasks", "n": items, **both, "delta": both["tuned"] - both["base"]}
    return retention({**pooled, "p_value": said.get("p_value")}, said.get("interval"))


def retention(task: Json, interval: Sequence[float] | None) -> Json:
    """Return the figures of a task or group: base and tuned as shares, change and interval in points."""
    return {
        "title": task["title"],
        "items": task["n"],
        "base": task["base"],
        "tuned": task["tuned"],
        "points": POINTS * task["delta"],
        "interval": [POINTS * end for end in interval] if interval else None,
        "p": number(task.get("p_value")),
        "verdict": task.get("verdict"),
    }


def is_share(task: Json) -> bool:
    """Return whether a task has a value of 0 to 1 for each item."""
    return task.get("points") is not None


def number(value: Any) -> float | None:
    """Return a finite number; None for any other value."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def curve(steps: Sequence[Json]) -> list[Json]:
    """Return the losses of training by the rows that were read until then."""
    found, rows = [], 0.0
    for step in steps:
        rows += number(step.get("rows")) or 0
        loss, held_out = number(step.get("loss")), number(step.get("validation_loss"))
        found.append({"step": step.get("step"), "rows": rows, "loss": loss, "heldOutLoss": held_out})
    return found


def loss_between(a: dict[str, Row], b: dict[str, Row], shared: Sequence[str]) -> Json:
    """Return the paired test of held-out losses, `b` minus `a`, over rows that both have."""
    before, after = ([rows[key].tokens * rows[key].loss for key in shared] for rows in (a, b))
    said = paired.compare_means(before, after, [float(a[key].tokens) for key in shared])
    return {"difference": said.delta, **paired.figures(said)}


def scores_between(a: dict[str, Any], b: dict[str, Any], shared: Sequence[str]) -> Json:
    """Return the paired test of scores, `b` minus `a`, over items that both have; a p of None for no test."""
    pairs = [(a[key][1], b[key][1]) for key in shared]
    said = paired.tested(pairs)
    tested = said["p_value"] is not None
    difference = math.fsum(after - before for before, after in pairs) / len(pairs) if tested else None
    return {"difference": difference, **{key: said[key] for key in ("p_value", "interval", "test")}}
