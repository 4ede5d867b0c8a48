"""The figures of results.json, and the same as flat numbers."""

from collections.abc import Mapping
from typing import Any

from osft_eval import compare
from osft_eval.catalogue import Catalogue
from osft_eval.holdout import Holdout
from osft_eval.parts import ANSWERS, LOSS


def of_tasks(catalogue: Catalogue, base: Mapping[str, Any], tuned: Mapping[str, Any]) -> dict[str, Any]:
    """`tasks` and `groups` of results.json."""
    tasks = {
        name: compare.compare_task(catalogue.titles[name], catalogue.kind(name), base[name], tuned[name])
        for name in catalogue.tasks
    }
    pooled = {
        name: compare.compare_group(catalogue.titles[name], catalogue.kind(name), members, base, tuned)
        for name, members in catalogue.groups.items()
    }
    groups = {name: figures for name, figures in pooled.items() if figures is not None}
    compare.judge(tasks)
    compare.judge(groups)
    return {"tasks": tasks, "groups": groups}


def of_holdout(rows: Holdout, base: Mapping[str, Any], tuned: Mapping[str, Any]) -> dict[str, Any]:
    """`holdout` of results.json."""
    figures: dict[str, Any] = {"n": len(rows.rows), "tokens": sum(row.tokens for row in rows.rows)}
    if LOSS in base:
        figures = compare.compare_holdout([row.tokens for row in rows.rows], base[LOSS], tuned[LOSS])
    references = [row.reference for row in rows.generated]
    return {**figures, **compare.compare_answers(references, base.get(ANSWERS, []), tuned.get(ANSWERS, []))}


def flat(results: Mapping[str, Any]) -> dict[str, float]:
    """Return every figure as one number with its own name."""
    found: dict[str, float] = {}
    for name, task in {**results["groups"], **results["tasks"]}.items():
        found |= {f"{name}_{which}": task[which] for which in ("base", "tuned", "delta")}
    for name, value in (results["holdout"] or {}).items():
        if isinstance(value, dict):
            found |= {f"holdout_{name}_{which}": number for which, number in value.items()}
    return found
