"""What the gates judged, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from osft_eval.compare import is_share
from osft_workspace.words import capital

Figures = Mapping[str, Any]
FALLS_NAMED = 3
"""Falls in the sentence on the gates; the table holds them all."""


def gates_in_words(judged: Figures, compared: Mapping[str, Figures]) -> dict[str, Any]:
    """Return the gates' `state` and `word`, `why` beside it, both in one `sentence`, `rules`, `failures`.

    `closest` is the limit with the least room left: its name, what it `allowed` and what was `used`.
    If the gates passed despite a drop beyond chance, they are not shown alone: `why` says what allowed
    it, and `state` is `allowed`. `room` says how close the closest limit is.
    """
    rules = [*rules_in_words(judged["rules"], compared)]
    failures = [capital(failure) for failure in judged["failures"]]
    state = "failed" if failures else "passed" if rules else "open"
    word = {"failed": "Gates failed", "passed": "Gates passed", "open": "No gates set"}[state]
    room = closest_in_words(closest(judged["limits"]), compared)
    falls = [name for name, task in compared.items() if task["verdict"] == "worse"]
    if failures:
        why = " ".join(failures)
    elif falls:
        said = [allowance(compared[name], judged["limits"].get(name)) for name in falls[:FALLS_NAMED]]
        said += [f"{len(falls) - FALLS_NAMED} more fell"] if len(falls) > FALLS_NAMED else []
        why = f"{'; '.join(said)}."
    else:
        why = room
    return {
        "state": "allowed" if falls and state == "passed" else state,
        "word": word,
        "closest": closest(judged["limits"]),
        "why": why,
        "room": room,
        "sentence": f"{word}: {why}" if why else f"{word}.",
        "rules": rules,
        "failures": failures,
    }


def rules_in_words(rules: Figures, compared: Mapping[str, Figures]) -> Iterator[str]:
    """Return a sentence for each rule."""
    falls = rules["maxTaskDrop"] is not None or rules["tasks"]
    if rules["maxTaskDrop"] is not None:
        yield f"No task may fall by more than {rules['maxTaskDrop']:g} points."
    for name, points in rules["tasks"].items():
        title = compared[name]["title"] if name in compared else name
        yield f"{capital(title)} may fall by at most {points:g} points."
    if rules["holdoutMustImprove"]:
        yield "The held-out loss must fall."
    if rules.get("maxEarlierRise") is not None:
        yield f"The held-out loss of an earlier task may rise by at most {rules['maxEarlierRise']:g}."
    if (falls or rules.get("maxEarlierRise") is not None) and rules["significance"] is not None:
        yield f"A fall counts below p = {rules['significance']:g}, adjusted for the number of tests."


def allowance(task: Figures, limit: Figures | None) -> str:
    """Return a drop beyond chance, and what the gates made of it."""
    fell = f"fell by {abs(100 * task['delta']):.1f} points" if is_share(task) else "got worse"
    gate = (
        "no gate limits it"
        if limit is None
        else f"the gate allows {limit['allowed']:g}"
        if limit["counts"]
        else "eval.gates.significance does not count it"
    )
    return f"{capital(task['title'])} {fell}, more than expected by chance, and {gate}"


def closest(limits: Mapping[str, Figures]) -> dict[str, Any] | None:
    """Return the limit with the least room left."""
    if not limits:
        return None
    name = min(limits, key=lambda name: limits[name]["allowed"] - limits[name]["used"])
    return {"closest": name, "allowed": limits[name]["allowed"], "used": limits[name]["used"]}


def closest_in_words(found: Figures | None, compared: Mapping[str, Figures]) -> str:
    """Return what came closest to its limit; empty where nothing is gated by points."""
    if not found:
        return ""
    if not found["used"]:
        return "No gated task or group fell."
    title = capital(compared[found["closest"]]["title"])
    used, allowed = f"{found['used']:.1f}", f"{found['allowed']:g}"
    return f"{title} is closest to its limit: it fell by {used} points, and {allowed} are allowed."
