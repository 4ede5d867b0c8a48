"""Base against tuned on the same items, as the figures of results.json."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from osft_eval import metrics
from osft_workspace import paired
from osft_workspace.paired import LEVEL, figures, tested

DECIMALS = 9
"""Of points: 2.0 points stay 2.0 points, even in binary fractions."""


def compare_task(title: str, kind: str, base: Mapping[str, Any], tuned: Mapping[str, Any]) -> dict[str, Any]:
    """One task: both values, the flips, and what a paired test makes of them.

    Raises:
        ValueError: the models were given different items.
    """
    if [item["id"] for item in base["items"]] != [item["id"] for item in tuned["items"]]:
        raise ValueError(f"base and tuned were given different items of {title}")
    scores = [(was["score"], now["score"]) for was, now in zip(base["items"], tuned["items"], strict=True)]
    return {
        "title": title,
        "kind": kind,
        "metric": tuned["metric"],
        "filter": tuned["filter"],
        "higher_is_better": tuned["higher_is_better"],
        "n": len(scores),
        "base": base["value"],
        "tuned": tuned["value"],
        "delta": tuned["value"] - base["value"],
        **tested(scores),
    }


def compare_group(
    title: str, kind: str, names: Sequence[str], base: Mapping[str, Any], tuned: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return a group as one test over all its items, or None where its tasks' scores cannot be pooled."""
    parts = [(base[name], tuned[name]) for name in names]
    scores = [
        (was["score"], now["score"])
        for old, new in parts
        for was, now in zip(old["items"], new["items"], strict=True)
    ]
    seen = {new["metric"] for _, new in parts}
    right_or_wrong = all(score in (0.0, 1.0) for pair in scores for score in pair)
    alike = right_or_wrong or (len(seen) == 1 and all(score is not None for pair in scores for score in pair))
    if not scores or not alike or len({new["higher_is_better"] for _, new in parts}) > 1:
        return None
    n = len(scores)
    was, now = (math.fsum(pair[side] for pair in scores) / n for side in (0, 1))
    return {
        "title": title,
        "kind": kind,
        "tasks": list(names),
        "metric": seen.pop() if len(seen) == 1 else "share right",
        "higher_is_better": parts[0][1]["higher_is_better"],
        "n": n,
        "base": was,
        "tuned": now,
        "delta": now - was,
        **tested(scores),
    }


def is_share(task: Mapping[str, Any]) -> bool:
    """Return whether points are meaningful: both values are between 0 and 1 and each item has one."""
    return task["p_value"] is not None and 0 <= task["base"] <= 1 and 0 <= task["tuned"] <= 1


def judge(compared: Mapping[str, dict[str, Any]]) -> None:
    """Add to each task `p_adjusted`, over all of them, `points`, and `verdict`.

    Points are None where the metric is not a share. Verdicts are worse, better, unchanged or untested.
    """
    names = [name for name, task in compared.items() if task["p_value"] is not None]
    adjusted = dict(zip(names, paired.holm([compared[name]["p_value"] for name in names]), strict=True))
    for name, task in compared.items():
        task["p_adjusted"] = adjusted.get(name)
        task["points"] = round(100 * task["delta"], DECIMALS) if is_share(task) else None
        fell = (task["delta"] < 0) == task["higher_is_better"]
        real = name in adjusted and adjusted[name] < LEVEL
        task["verdict"] = (
            ("worse" if fell else "better") if real else "unchanged" if name in adjusted else "untested"
        )


def compare_holdout(tokens: Sequence[int], base: Sequence[float], tuned: Sequence[float]) -> dict[str, Any]:
    """Held-out loss in nats per token, and token perplexity."""
    total = sum(tokens)
    loss = {"base": math.fsum(base) / total, "tuned": math.fsum(tuned) / total}
    said = paired.compare_means(base, tuned, [float(count) for count in tokens])
    return {
        "n": len(tokens),
        "tokens": total,
        "loss": loss,
        "perplexity": {which: math.exp(min(value, 700.0)) for which, value in loss.items()},
        "delta": said.delta,
        **figures(said),
    }


def compare_answers(references: Sequence[str], base: Sequence[str], tuned: Sequence[str]) -> dict[str, Any]:
    """Return every text metric of the generated answers; `generated` is how many there are."""
    if not references:
        return {"generated": 0}
    scores = {"base": metrics.score_texts(base, references), "tuned": metrics.score_texts(tuned, references)}
    both = {name: {which: scores[which][name] for which in scores} for name in metrics.NAMES}
    return {"generated": len(references), **both}
