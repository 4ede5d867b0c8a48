"""Paired tests between the tuned models of runs, on the items that both were given."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from osft_pipeline.compare.evidence import Evidence, Scores
from osft_pipeline.compare.measures import POINTS, is_share, loss_between, scores_between
from osft_pipeline.local.records import Json
from osft_workspace import paired
from osft_workspace.words import capital

LOSS = "holdout_loss"


def between(runs: Sequence[Evidence]) -> tuple[list[Json], list[str]]:
    """Return a test for each pair of runs and measure, corrected over all, and what was not tested."""
    found: list[Json] = []
    notes: list[str] = []
    for a, b in combinations([one for one in runs if one.results], 2):
        for test, note in pair(a, b):
            found += [test] if test else []
            notes += [note] if note else []
    adjusted = paired.holm([test["p"] for test in found])
    for test, p in zip(found, adjusted, strict=True):
        better = (test["difference"] > 0) == test.pop("higher")
        test["pAdjusted"] = p
        test["verdict"] = ("better" if better else "worse") if p < paired.LEVEL else "unchanged"
    return found, list(dict.fromkeys(notes))


def pair(a: Evidence, b: Evidence) -> Iterator[tuple[Json | None, str]]:
    """Yield the tests of `b` against `a`, or why there is none."""
    if a.rows and b.rows:
        yield on_shared(a, b, (LOSS, "Held-out loss", False, 1), a.rows, b.rows)
    for name, title, tasks, higher in measures(a, b):
        kept = [scores(one, tasks) for one in (a, b)]
        if all(kept):
            yield on_shared(a, b, (name, title, higher, POINTS), *kept)


def on_shared(
    a: Evidence, b: Evidence, measure: tuple[str, str, bool, int], old: dict[str, Any], new: dict[str, Any]
) -> tuple[Json | None, str]:
    """Return the test over the items that both runs have, and a note where they are not the same items."""
    name, title, higher, scale = measure
    shared = [key for key in old if key in new]
    both = f"{a.letter} and {b.letter}"
    if not shared:
        return None, f"{title}: {both} were given different items, so that they are not tested as pairs."
    same = len(shared) == len(old) == len(new)
    note = "" if same else f"{title}: {both} are tested on the {len(shared):,} items that both were given."
    said = (loss_between if name == LOSS else scores_between)(old, new, shared)
    if said["p_value"] is None:
        return None, note
    return {
        "a": a.run,
        "b": b.run,
        "measure": name,
        "title": title,
        "unit": "nats per token" if name == LOSS else "points",
        "items": len(shared),
        "difference": scale * said["difference"],
        "interval": [scale * end for end in said["interval"]] if said["interval"] else None,
        "test": said["test"],
        "p": said["p_value"],
        "higher": higher,
    }, note


def measures(a: Evidence, b: Evidence) -> Iterator[tuple[str, str, list[str], bool]]:
    """Yield name, title, tasks and direction of the groups that both have, then of tasks in no group."""
    grouped: set[str] = set()
    for name, group in (a.results.get("groups") or {}).items():
        other = (b.results.get("groups") or {}).get(name)
        if other and other["tasks"] == group["tasks"] and len(group["tasks"]) > 1 and is_share(group):
            grouped |= {*group["tasks"]}
            yield name, capital(group["title"]), group["tasks"], group["higher_is_better"]
    for name, task in (a.results.get("tasks") or {}).items():
        if name not in grouped and name in (b.results.get("tasks") or {}) and is_share(task):
            yield name, capital(task["title"]), [name], task["higher_is_better"]


def scores(one: Evidence, tasks: Sequence[str]) -> dict[str, Scores]:
    """Return the scores of the items of some tasks; none where one of them was not kept."""
    if not all(name in one.items for name in tasks):
        return {}
    return {f"{name}/{key}": score for name in tasks for key, score in one.items[name].items()}
