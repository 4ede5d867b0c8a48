"""Runs that go on from each other, in one claim of a cluster."""

import json

import pytest

from tests.e2e.harness import ORDERINGS, WAITING, Space


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_the_next_task_starts_from_the_model_of_the_run_before(space: Space, ordering: str) -> None:
    """`osft run --continue` finds the claim of that run, and the version names its parent."""
    quick = {**ORDERINGS[ordering], "eval": {"holdout": {"limit": 16, "generate": 0}, "tasks": []}}
    first = space.release("first", **quick)
    assert first.install(WAITING).returncode == 0, first.story()
    first.complete()
    second = space.release("second", **quick, model={"uri": None}, train={"seed": 7})
    started = second.osft("run", "--continue=first", WAITING)
    assert started.returncode == 0, started.stdout + started.stderr
    second.complete()
    # It lies in the claim of the first run.
    chain = first.record("download", second.run)["details"]["chain"]
    assert [link["run"] for link in chain["links"]] == [first.run]
    [earlier] = json.loads(first.read(f"runs/{second.run}/eval/results.json"))["chain"]["tasks"]
    assert earlier["run"] == first.run and earlier["verdict"] in ("better", "unchanged", "worse")
