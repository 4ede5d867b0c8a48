"""`osft follow` beside real runs: what it says while they live and after, and the code it ends with."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.harness import ORDERINGS, OSFT, WAITING, Space, call, eventually

STAGES = ("download", "train", "eval", "register")


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_run_is_followed_from_its_install_to_its_end(space: Space, ordering: str) -> None:
    release = space.release(**ORDERINGS[ordering], train={"epochs": 10})  # long enough to be seen at it
    with ThreadPoolExecutor() as aside:
        installed = aside.submit(release.install, WAITING)
        done = call(
            OSFT, "follow", release.name, "-n", space.name, "--every=2s", "--timeout=20m", **space.env
        )
    assert installed.result().returncode == 0, installed.result().stderr
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in STAGES:
        assert re.search(rf"Z {stage} done seconds=\d+ message=", done.stdout), done.stdout
    # The others may be too short to be seen.
    for stage, part in (("train", "(train-)?node"), ("eval", "eval")):
        assert re.search(rf"Z {stage} running pod={release.run}\S*-{part}-", done.stdout), done.stdout
    assert re.search(r"Z train training step=\d+/\d+ loss=", done.stdout), done.stdout
    after = call(OSFT, "follow", release.name, "-n", space.name, "--once", "--json", **space.env)
    found = json.loads(after.stdout)
    assert (found["run"], found["state"], found["exitCode"]) == (release.run, "done", 0)
    assert [(stage["name"], stage["state"], stage["attempt"]) for stage in found["stages"]] == [
        (stage, "done", 1) for stage in STAGES
    ]
    assert {stage["pod"] for stage in found["stages"]} <= {pod["metadata"]["name"] for pod in release.pods()}


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_stage_that_fails_gives_its_code_its_sentence_and_what_to_do(space: Space, ordering: str) -> None:
    release = space.release(**ORDERINGS[ordering], data={"uri": "hf://tiny/nothing"})
    with ThreadPoolExecutor() as aside:
        installed = aside.submit(release.install, WAITING)
        done = call(OSFT, "follow", release.name, "-n", space.name, "--timeout=10m", **space.env)
    assert installed.result().returncode == (1 if ordering == "hooks" else 0)
    assert done.returncode == 2, done.stdout + done.stderr
    sentence = re.search(r"\ndownload failed\n  (.*)\n", done.stdout)
    assert sentence and "tiny/nothing" in sentence[1], done.stdout + done.stderr
    assert "Exit code 2, for you" in done.stdout
    assert re.search(rf"\n    kubectl -n {space.name} logs \S+download\S+$", done.stdout.rstrip())


def test_a_preflight_that_refuses_is_shown_with_all_it_said(space: Space) -> None:
    release = space.release(secrets={"hf": {"existing": "nowhere"}})
    assert release.install("--timeout=5m").returncode == 1
    done = call(OSFT, "follow", release.name, "-n", space.name, **space.env)
    assert done.returncode == 2
    assert "1 problem before the start:" in done.stdout and "nowhere" in done.stdout


def test_a_run_that_waits_for_a_gpu_says_so_and_is_left_alone(space: Space) -> None:
    release = space.release(train={"gpus": 64}, eval={"gpus": 0})
    assert release.install().returncode == 0
    assert eventually(lambda: release.pods("train"), 180), release.story()
    done = call(OSFT, "follow", release.name, "-n", space.name, "--timeout=20s", **space.env)
    assert done.returncode == 75
    assert re.search(
        r"Z train pending pod=\S+ reason=Unschedulable message=.*Insufficient nvidia.com/gpu", done.stdout
    )
    assert "it goes on." in done.stderr
    assert not release.condition()
