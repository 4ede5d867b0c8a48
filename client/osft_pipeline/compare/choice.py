"""Which runs can be compared, which of them are on the Pareto front, and which one to ship."""

from collections.abc import Sequence
from typing import Any

from osft_pipeline.compare.evidence import Evidence
from osft_pipeline.compare.pairs import LOSS
from osft_pipeline.local.records import Json
from osft_workspace import paired
from osft_workspace.words import equals, listed, signed

UNLEARNED = {
    "worse": "its held-out loss rose",
    "unclear": "its held-out loss did not clearly fall",
}
"""Verdict on the held-out loss -> why such a run is not shipped."""


def measured_on(one: Evidence, figures: Json) -> tuple[Any, ...]:
    """Return what a run was measured on: runs of which it is the same can be compared."""
    kept, learned = figures["kept"] or {}, figures["learned"] or {}
    held_out = one.sha256("download", "eval.jsonl") or learned.get("base")
    tasks = kept.get("title"), kept.get("items")
    return figures["base"]["digest"], held_out, learned.get("rows"), *tasks


def comparable(runs: Sequence[Evidence], figures: Sequence[Json]) -> list[str]:
    """Return the runs of the largest set that was measured on the same; the first of equally large sets."""
    sets: dict[tuple[Any, ...], list[str]] = {}
    for one, found in zip(runs, figures, strict=True):
        if found["learned"] or found["kept"]:
            sets.setdefault(measured_on(one, found), []).append(one.run)
    return max(sets.values(), key=len, default=[])


def front(figures: Sequence[Json]) -> list[str]:
    """Return the runs that no other one beats in both what was learned and what was kept, from the right."""
    both = [one for one in figures if one["learned"] and one["kept"]]
    places = {one["run"]: (-one["learned"]["change"], one["kept"]["points"]) for one in both}
    best = [
        run
        for run, (gain, points) in places.items()
        if not any(
            other[0] >= gain and other[1] >= points and other != (gain, points) for other in places.values()
        )
    ]
    return sorted(best, key=lambda run: places[run], reverse=True)


def against(one: Evidence, figures: Json) -> str:
    """Return why a run is not shipped; empty if it may be."""
    if not one.results:
        return one.failure.sentence() if one.failure else "it was not evaluated"
    if not one.summary:
        return "its results.json is of another version (run its evaluation again)"
    if one.state == "refused":
        return "its gates failed"
    learned = (figures["learned"] or {}).get("verdict")
    if learned != "learned":
        return UNLEARNED.get(str(learned), "no held-out rows were measured")
    if figures["verdict"] == "worse" and figures["gates"] == "open":
        return "it forgot more than expected by chance, and no gate (eval.gates) allows that"
    return ""


def choose(
    runs: Sequence[Evidence], figures: Sequence[Json], same: Sequence[str], tests: Sequence[Json]
) -> Json:
    """Return `run`, the one to ship or None, and `why` in a sentence."""
    reasons = {one.run: against(one, found) for one, found in zip(runs, figures, strict=True)}
    fit = [found for found in figures if not reasons[found["run"]] and found["run"] in same]
    told = "; ".join(f"{run}: {reason}" for run, reason in reasons.items() if reason)
    apart = [run for run, reason in reasons.items() if not reason and run not in same]
    others = f" Not compared, because it was measured on something else: {listed(apart)}." if apart else ""
    if len(same) < 2 and apart:
        return {
            "run": None,
            "why": "None is chosen: no two runs were measured on the same base model, rows and tasks.",
        }
    if not fit:
        return {"run": None, "why": f"No run qualifies. {told}.{others}"}
    best = max(fit, key=lambda found: (-found["learned"]["change"], points(found)))
    close = [found for found in fit if found is best or not clearly_apart(best["run"], found["run"], tests)]
    chosen = max(close, key=lambda found: (points(found), -found["learned"]["change"]))
    left_out = f" Not qualified: {told}." if told else ""
    return {"run": chosen["run"], "why": f"{why(chosen, best, fit, tests)}{left_out}{others}"}


def why(chosen: Json, best: Json, fit: Sequence[Json], tests: Sequence[Json]) -> str:
    """Return the sentence for the chosen run; `best` learned most of those that qualify."""
    change = in_words(chosen)
    if len(fit) == 1:
        return f"Ship {chosen['run']}: it is the only run that qualifies ({change})."
    if chosen is not best:
        return (
            f"Ship {chosen['run']}: {best['run']} learned most ({in_words(best)}), but not clearly more"
            f"{p_between(best['run'], chosen['run'], tests)}, and {chosen['run']} kept more ({change})."
        )
    beside = [found for found in fit if found is not best]
    second = max(beside, key=lambda found: -found["learned"]["change"])
    return (
        f"Ship {chosen['run']}: of the {len(fit)} runs that qualify it learned most ({change}); next is "
        f"{second['run']} ({in_words(second)}{p_between(best['run'], second['run'], tests)})."
    )


def in_words(found: Json) -> str:
    """Return what a run learned and kept."""
    kept = f", {signed(points(found))} points" if found["kept"] else ""
    return f"loss {signed(found['learned']['change'], 3)}{kept}"


def points(found: Json) -> float:
    """Return the change in retention, 0 if none was measured."""
    return float((found["kept"] or {}).get("points") or 0.0)


def test_of(a: str, b: str, tests: Sequence[Json]) -> Json | None:
    """Return the test of the held-out losses of two runs."""
    pair = {a, b}
    return next((one for one in tests if one["measure"] == LOSS and {one["a"], one["b"]} == pair), None)


def clearly_apart(a: str, b: str, tests: Sequence[Json]) -> bool:
    """Return whether the held-out losses of two runs differ by more than chance; true if not tested."""
    test = test_of(a, b, tests)
    return test is None or test["pAdjusted"] < paired.LEVEL


def p_between(a: str, b: str, tests: Sequence[Json]) -> str:
    """Return the p of the test of two held-out losses, for a sentence."""
    test = test_of(a, b, tests)
    return f", p {equals(test['pAdjusted'])}" if test else ""
