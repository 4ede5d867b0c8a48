"""Exactly one version and one artifact, wherever a start is killed and however many start at once."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.stages.register.conftest import RUN, Stage
from tests.support.registry import Registry, Request, proxy

KILLS, STARTS = (int(os.environ.get(name, few)) for name, few in (("KILLS", "16"), ("STARTS", "3")))
"""Starts killed at random, and pairs started at once. A long look: KILLS=1000 STARTS=200 make test K=kills"""
KILLS_EACH = 4
"""Kills of one version before a start that may finish."""
REQUESTS = 10
"""One more than a registration needs, so that the last start is not killed."""


@pytest.fixture
def two_copies(fresh_stage: Callable[..., Stage]) -> tuple[Stage, Stage]:
    """Copies of one finished run in two workspaces, which share no lock."""
    stage = fresh_stage("one")
    shutil.copytree(stage.workspace, stage.scratch / "two")
    return stage, Stage(stage.scratch / "two", stage.scratch, stage.address, stage.name)


def start_both(stages: tuple[Stage, Stage], *args: str) -> list[tuple[int, str]]:
    """Two starts at once: their exit codes and what they printed."""
    processes = [stage.start(*args) for stage in stages]
    printed = [process.communicate(timeout=60)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, printed, strict=True)]


def assert_one(registry: Registry, name: str, version: str) -> None:
    """One model, one version of that name, one artifact."""
    assert len(registry.models(name)) == 1
    (found,) = [item for item in registry.versions(name) if item["name"] == version]
    (artifact,) = registry.artifacts(found)
    assert artifact["state"] == "LIVE"
    assert "osft_evidence" in found["customProperties"]


def kill_at(stage: Stage, registry: Registry, number: int) -> bool:
    """Kill a start when the server has done its n-th request and before the client knows it."""
    started = threading.Event()

    def kill(request: Request) -> None:
        if request.number == number:
            started.wait(10)
            process.kill()
            process.wait()

    with proxy(registry.address, after=kill) as address:
        process = stage.start(f"--address={address}")
        started.set()
        process.communicate(timeout=60)
        return process.returncode == -signal.SIGKILL


def test_a_start_killed_at_any_request_is_finished_by_the_next(stage: Stage, registry: Registry) -> None:
    killed = []
    name = stage.name
    for number in range(1, REQUESTS + 1):
        stage.name = f"{name} {number}"
        killed.append(kill_at(stage, registry, number))
        stage.done()
        assert_one(registry, stage.name, RUN)
    assert killed == [True] * (REQUESTS - 1) + [False], "a registration has other requests now: see REQUESTS"


@pytest.mark.timeout(600 + 2 * KILLS)
def test_a_start_killed_at_any_moment_is_finished_by_the_next(stage: Stage, registry: Registry) -> None:
    moments = random.Random(7)
    versions = [f"v{number}" for number in range(KILLS // KILLS_EACH)]
    for version in versions:
        for number in range(KILLS_EACH):
            process = stage.start(f"--version={version}", f"--version-description={number}")
            time.sleep(moments.uniform(0.0, 0.8))
            process.kill()
            process.communicate()
        stage.done(f"--version={version}")
        assert_one(registry, stage.name, version)
    assert sorted(item["name"] for item in registry.versions(stage.name)) == sorted(versions)


@pytest.mark.parametrize(
    ("what", "policy"),
    [
        ("registered_models", "fail"),
        ("model_versions", "fail"),
        ("model_versions", "new"),
        ("artifacts", "fail"),
    ],
)
def test_starts_that_collide_make_one(
    two_copies: tuple[Stage, Stage], registry: Registry, what: str, policy: str
) -> None:
    """Both are held at their create of `what`, then go together. The later may find the artifact instead."""
    both = threading.Barrier(2, timeout=5)
    met: list[str] = []

    def hold(request: Request) -> None:
        if request.method == "POST" and request.path.endswith(what) and len(met) < 2:
            with suppress(threading.BrokenBarrierError):
                both.wait()
                met.append(request.path)

    with proxy(registry.address, before=hold) as address:
        ends = start_both(two_copies, f"--address={address}", "--version=v1", f"--on-conflict={policy}")
    assert [code for code, _ in ends] == [0, 0], "\n".join(printed for _, printed in ends)
    assert len(met) == 2 or what == "artifacts"
    assert_one(registry, two_copies[0].name, "v1")
    assert len(registry.versions(two_copies[0].name)) == 1


@pytest.mark.timeout(600 + 5 * STARTS)
def test_starts_at_the_same_time_make_one(two_copies: tuple[Stage, Stage], registry: Registry) -> None:
    for number in range(STARTS):
        ends = start_both(two_copies, f"--version=v{number}")
        assert [code for code, _ in ends] == [0, 0], "\n".join(printed for _, printed in ends)
        assert_one(registry, two_copies[0].name, f"v{number}")


def test_two_starts_in_one_workspace_register_once(stage: Stage, registry: Registry) -> None:
    for number in range(2):
        ends = start_both((stage, stage), f"--version=v{number}")
        assert [code for code, _ in ends] == [0, 0]
        assert sorted("already done" in printed for _, printed in ends) == [False, True]
        assert_one(registry, stage.name, f"v{number}")
