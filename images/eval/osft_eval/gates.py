"""Gates: rules that the tuned model must pass before anything is registered."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osft_eval import stats
from osft_eval.settings import Gates
from osft_workspace import UserError

TINY = 1e-9
"""Points; 2.0 points stay 2.0 points whatever binary fractions make of them."""


def check_names(gates: Gates, names: Sequence[str]) -> None:
    """Raises UserError when a gate names a task or group that this evaluation does not run."""
    for name in gates.tasks:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3) or list(names)
            raise UserError(
                f"eval.gates.tasks names {name!r}, which is not evaluated. "
                f"Evaluated: {', '.join(near) or 'none'}. Add it to eval.tasks or remove its gate."
            )


def apply(
    gates: Gates, compared: Mapping[str, Mapping[str, Any]], holdout: Mapping[str, Any] | None, why: str
) -> dict[str, Any]:
    """Judge the results.

    Args:
        compared: tasks and groups by name.
        holdout: held-out figures, or None.
        why: why there are none.

    Returns:
        `passed`, `rules`, and `failures`, one sentence each.
    """
    failures = [*fallen(gates, compared)]
    if gates.holdout_must_improve:
        if holdout is None or "loss" not in holdout:
            failures.append(
                f"the held-out loss cannot be judged: {why}. eval.gates.holdoutMustImprove asks for it"
            )
        elif not holdout["loss"]["tuned"] < holdout["loss"]["base"]:  # as a NaN is never smaller
            failures.append(
                f"held-out loss did not improve: {holdout['loss']['base']:.3f} before, "
                f"{holdout['loss']['tuned']:.3f} after. Train longer or with a higher learning rate, or "
                "check that the held-out rows are like the training rows."
            )
    return {"passed": not failures, "rules": gates.rules, "failures": failures}


def fallen(gates: Gates, compared: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each task or group that fell by more than it may."""
    limits = {
        name: gates.tasks.get(name, gates.max_task_drop)
        for name in compared
        if gates.tasks.get(name, gates.max_task_drop) is not None
    }
    p_values = [compared[name]["p_value"] for name in limits if compared[name]["p_value"] is not None]
    adjusted = iter(stats.holm(p_values))
    for name, limit in limits.items():
        task = compared[name]
        p_value = next(adjusted) if task["p_value"] is not None else None
        if not is_share(task):
            if name in gates.tasks:
                yield (
                    f"{task['title']} cannot be judged in points: its metric {task['metric']} is no share. "
                    f"Remove {name} from eval.gates.tasks."
                )
            continue
        drop = 100 * (task["base"] - task["tuned"]) * (1 if task["higher_is_better"] else -1)
        noise = gates.significance is not None and p_value is not None and p_value >= gates.significance
        if limit is not None and drop > limit + TINY and not noise:
            yield (
                f"{task['title']} fell by {drop:.1f} points ({100 * task['base']:.1f} % before, "
                f"{100 * task['tuned']:.1f} % after, n = {task['n']}{shown(task['p_value'])}); "
                f"the gate allows {limit:g}."
            )


def ungated(gates: Gates, compared: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """What `maxTaskDrop` means and cannot judge, as entries of `skipped`."""
    if gates.max_task_drop is None:
        return []
    return [
        {
            "what": f"{task['title']} is not gated by maxTaskDrop",
            "reason": f"its metric {task['metric']} is no share",
        }
        for name, task in compared.items()
        if name not in gates.tasks and not is_share(task)
    ]


def is_share(task: Mapping[str, Any]) -> bool:
    """Whether points make sense: both values lie between 0 and 1 and each item has one."""
    return task["p_value"] is not None and 0 <= task["base"] <= 1 and 0 <= task["tuned"] <= 1


def shown(p_value: float | None) -> str:
    """A p-value as people write it."""
    if p_value is None:
        return ""
    return (
        ", p < 0.001"
        if p_value < 0.001
        else f", p = {p_value:.3f}"
        if p_value < 0.1
        else f", p = {p_value:.2f}"
    )
