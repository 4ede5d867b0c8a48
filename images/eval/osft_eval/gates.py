"""Gates: rules that the tuned model must pass before anything is registered."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osft_eval.compare import DECIMALS, is_share
from osft_workspace import UserError, excerpt, paired
from osft_workspace.words import equals


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Rules that the tuned model must pass to go on."""

    max_task_drop: float | None = None
    """Points (hundredths) that any task or group may fall."""
    tasks: Mapping[str, float] = field(default_factory=dict)
    """Points for single tasks or groups, instead of `max_task_drop`."""
    holdout_must_improve: bool = False
    max_earlier_rise: float | None = None
    """What the held-out loss of an earlier task of a chain may rise, in nats per token: `chain.gate`."""
    significance: float | None = None
    """With it, a fall counts only when the paired test over all gated tasks finds it at this level."""

    @property
    def rules(self) -> dict[str, Any]:
        """As written in the values."""
        return {
            "maxTaskDrop": self.max_task_drop,
            "tasks": dict(self.tasks),
            "holdoutMustImprove": self.holdout_must_improve,
            "maxEarlierRise": self.max_earlier_rise,
            "significance": self.significance,
        }


def read_gates(rules: Mapping[str, Any]) -> Gates:
    """Return the gates of rules that have no problem."""
    tasks = rules.get("tasks") or {}
    return Gates(
        max_task_drop=rules.get("maxTaskDrop"),
        tasks={name: points for name, points in tasks.items() if points is not None},
        holdout_must_improve=bool(rules.get("holdoutMustImprove")),
        max_earlier_rise=rules.get("maxEarlierRise"),
        significance=rules.get("significance"),
    )


def check_names(gates: Gates, names: Sequence[str]) -> None:
    """Raise UserError when a gate names a task or group that this evaluation does not run."""
    for problem in name_problems(gates.tasks, names):
        raise UserError(problem)


def name_problems(gated: Iterable[str], names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each gate on a task or group that this evaluation does not run."""
    for name in gated:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3) or list(names)
            yield (
                f"eval.gates.tasks names {name!r}, which is not evaluated. "
                f"Evaluated: {excerpt(', '.join(near)) or 'none'}. Add it to eval.tasks or remove its gate."
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
        `passed`, `rules`, `limits` (see `limits_of`), and `failures`, one sentence each.
    """
    limits = limits_of(gates, compared)
    failures = [*unjudged(gates, compared), *fallen(limits, compared)]
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
    return {"passed": not failures, "rules": gates.rules, "limits": limits, "failures": failures}


def limits_of(gates: Gates, compared: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what each gated task or group is `allowed` to fall and what it `used` of that, in points.

    `counts` is false where `significance` is set and chance may explain the difference; then nothing is used.
    """
    allowed = {
        name: limit for name in compared if (limit := gates.tasks.get(name, gates.max_task_drop)) is not None
    }
    tested = [name for name in allowed if compared[name]["p_value"] is not None]
    adjusted = dict(zip(tested, paired.holm([compared[name]["p_value"] for name in tested]), strict=True))
    found = {}
    for name, limit in allowed.items():
        task = compared[name]
        if is_share(task):
            drop = 100 * (task["base"] - task["tuned"]) * (1 if task["higher_is_better"] else -1)
            counts = gates.significance is None or adjusted[name] < gates.significance
            used = max(0.0, round(drop, DECIMALS)) if counts else 0.0
            found[name] = {"allowed": float(limit), "used": used, "counts": counts}
    return found


def unjudged(gates: Gates, compared: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each task that has its own limit in points and no points."""
    for name in gates.tasks:
        if name in compared and not is_share(compared[name]):
            task = compared[name]
            yield (
                f"{task['title']} cannot be judged in points: its metric {task['metric']} is not a share. "
                f"Remove {name} from eval.gates.tasks."
            )


def fallen(
    limits: Mapping[str, Mapping[str, Any]], compared: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yield a sentence for each task or group that fell by more than it may."""
    for name, limit in limits.items():
        task = compared[name]
        if limit["used"] > limit["allowed"]:
            yield (
                f"{task['title']} fell by {limit['used']:.1f} points ({100 * task['base']:.1f} % before, "
                f"{100 * task['tuned']:.1f} % after, n = {task['n']}, p {equals(task['p_value'])}); "
                f"the gate allows {limit['allowed']:g}."
            )


def ungated(gates: Gates, compared: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what `maxTaskDrop` means and cannot judge, as entries of `skipped`."""
    if gates.max_task_drop is None:
        return []
    return [
        {
            "what": f"{task['title']} is not gated by maxTaskDrop",
            "reason": f"its metric {task['metric']} is not a share",
        }
        for name, task in compared.items()
        if name not in gates.tasks and not is_share(task)
    ]
