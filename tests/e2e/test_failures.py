"""Pods killed, servers away, gates that refuse, full disks: retried or not, nothing lost, nothing doubled."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import ORDERINGS, OSFT, WAITING, Release, Space, call, ended, eventually, merged
from tests.support.registry import Registry, Request, proxy

LONG = {"train": {"epochs": 20, "checkpoints": {"everyMinutes": 0.05}}}
"""Long enough to be killed in the middle, with a full state every three seconds."""


def running(release: Release, stage: str) -> Any:
    """The stage's running pod once it has said something, or None."""
    for pod in release.pods(stage):
        name = pod["metadata"]["name"]
        if pod["status"].get("phase") == "Running" and release.space.kubectl("logs", name).stdout:
            return pod
    return None


def kill(pod: Any) -> None:
    """SIGKILL to the stage's processes, as the kernel does when memory runs out."""
    files = Path("/sys/fs/cgroup").glob(f"**/pod{pod['metadata']['uid']}/*/cgroup.procs")
    for number in {int(line) for path in files for line in path.read_text().split()}:
        with contextlib.suppress(OSError):
            if b"osft" in Path(f"/proc/{number}/cmdline").read_bytes():
                os.kill(number, signal.SIGKILL)


def codes(release: Release, stage: str) -> list[int]:
    """Exit codes of a stage's pods, oldest first."""
    return [int(end["exitCode"]) for pod in release.pods(stage) if (end := ended(pod))]


@pytest.mark.parametrize("how", ["deleted", pytest.param("killed", marks=pytest.mark.core)])
def test_every_stage_survives_its_pod(space: Space, registry: Registry, how: str) -> None:
    """Each stage's pod once: the run completes, training goes on where it was, nothing is doubled."""
    if how == "killed" and not space.place.ours:
        pytest.skip("kills processes of the node")
    with proxy(space.place.registry, before=slowly, host=space.place.host) as address:
        release = space.release(**LONG, register={"address": address})
        survive(release, how)
    [version] = registry.versions(space.name)
    assert len(registry.artifacts(version)) == 1
    last = release.pods("train")[-1]["metadata"]["name"]
    assert "chose resume value=" in space.kubectl("logs", last).stdout


def slowly(request: Request) -> None:
    """A registry whose every answer takes its time: else the stage is over before it is noticed."""
    time.sleep(1)


def survive(release: Release, how: str) -> None:
    """Take each stage's pod away once."""
    space = release.space
    assert release.install().returncode == 0
    for stage in ("download", "train", "eval", "register"):
        pod = eventually(lambda stage=stage: running(release, stage), 240, every=0.1)  # type: ignore[misc]
        assert pod, release.story()
        name = pod["metadata"]["name"]
        if stage == "train":
            saved = eventually(lambda: "full state saved" in space.kubectl("logs", name).stdout, 240)  # noqa: B023
            assert saved, release.story()
        if how == "killed":
            kill(pod)
        else:
            space.kubectl("delete", "pod", name, "--wait=false")
    release.complete()


def test_another_node_of_the_training_is_lost(space: Space) -> None:
    """The first cannot go on alone: both start again, and go on from the state that they saved together."""
    nodes = merged(LONG, {"train": {"nodes": 2}, "workspace": {"accessModes": ["ReadWriteMany"]}})
    release = space.release(**nodes, eval={"enabled": False}, register={"enabled": False})
    assert release.install().returncode == 0
    assert eventually(lambda: "full state saved" in rank(release, 0)[1], 240), release.story()
    space.kubectl("delete", "pod", rank(release, 1)[0], "--wait=false")
    release.complete()
    assert [rank(release, number)[1].count("chose resume value=") for number in (0, 1)] == [1, 0]
    assert "train done node=1" in rank(release, 1)[1]
    steps = release.read(f"runs/{release.run}/train/metrics.jsonl").splitlines()
    assert len(steps) == release.record("train")["metrics"]["steps"] == 80, "none is lost, none counts twice"


def rank(release: Release, number: int) -> tuple[str, str]:
    """Name and log of the newest training pod of one node."""
    index = "batch.kubernetes.io/job-completion-index"
    pods = [pod["metadata"] for pod in release.pods("train")]
    names = [meta["name"] for meta in pods if meta["annotations"][index] == str(number)]
    return (names[-1], release.space.kubectl("logs", names[-1]).stdout) if names else ("", "")


def test_what_a_user_must_fix_is_never_retried(space: Space) -> None:
    release = space.release(data={"columns": {"messages": "nowhere"}, "format": "messages"})
    assert release.install().returncode == 0
    assert release.finish() == "Failed"
    assert codes(release, "download") == [2]
    assert not release.pods("train")


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_deadline_ends_the_run(space: Space, ordering: str) -> None:
    """Training may take twelve seconds: it is stopped, nothing comes after it, and helm's output says why."""
    release = space.release(**ORDERINGS[ordering], train={"epochs": 50, "pod": {"deadlineMinutes": 0.2}})
    done = release.install(WAITING)
    assert done.returncode == (1 if ordering == "hooks" else 0), done.stderr
    assert release.finish() == "Failed", release.story()
    assert not release.pods("eval") and not release.pods("register")
    if ordering == "hooks":
        assert "exceeded its time limit: train.pod.deadlineMinutes" in done.stderr, done.stderr
    followed = call(OSFT, "follow", release.name, "--namespace", space.name, **space.env)
    assert followed.returncode == 75
    assert "Its time ran out: train.pod.deadlineMinutes" in followed.stdout, followed.stdout


def test_an_unavailable_registry_is_waited_for(space: Space, registry: Registry) -> None:
    """Its name leads nowhere for 40 seconds while the register stage runs: 75, and again until it is back."""
    address = space.serve("registry", space.place.registry)
    release = space.release(register={"address": address, "timeoutSeconds": 5}, eval={"enabled": False})
    assert release.install().returncode == 0
    assert eventually(lambda: running(release, "train"), 240), release.story()
    space.unserve("registry")
    assert eventually(lambda: 75 in codes(release, "register"), 240), release.story()
    time.sleep(40)
    space.serve("registry", space.place.registry)
    release.complete()
    assert set(codes(release, "register")) == {75, 0}
    assert len(registry.versions(space.name)) == 1


def test_a_drained_node_is_not_a_failure(space: Space) -> None:
    if not space.place.ours:
        pytest.skip("drains the node")
    # A drain looks into all namespaces, and the other scenarios' releases have other names.
    release = space.release("drained", **LONG, eval={"enabled": False}, register={"enabled": False})
    assert release.install().returncode == 0
    assert eventually(lambda: running(release, "train"), 240), release.story()
    node = release.pods("train")[0]["spec"]["nodeName"]
    selector = f"--pod-selector=app.kubernetes.io/instance={release.name}"
    drained = space.kubectl("drain", node, selector, "--force", "--delete-emptydir-data", "--timeout=120s")
    space.kubectl("uncordon", node)
    assert drained.returncode == 0, drained.stderr
    release.complete()
    job = space.get("job", f"{release.trainjob['metadata']['name']}-node-0")
    assert not job["status"].get("failed"), "an evicted pod counts as no failure"


@pytest.mark.core
def test_a_gate_that_refuses(space: Space) -> None:
    """No register pod, a sentence wherever one looks, and model and report in the workspace."""
    release = space.release(train={"learningRate": 0.5}, eval={"gates": {"holdoutMustImprove": True}})
    assert release.install().returncode == 0
    assert release.finish() == "Failed"
    assert codes(release, "eval") == [3]
    assert not release.pods("register")
    [pod] = release.pods("eval")
    described = space.kubectl("describe", "pod", pod["metadata"]["name"]).stdout
    followed = call(OSFT, "follow", release.name, "--namespace", space.name, **space.env)
    assert followed.returncode == 3
    for shown in (described, followed.stdout):
        assert "held-out loss did not improve" in shown
    assert release.record("eval")["status"] == "refused"
    assert "held-out" in release.read(f"runs/{release.run}/eval/report.md")
    assert release.record("train")["status"] == "done"


def test_a_full_workspace(space: Space) -> None:
    """The volume is too small for the model: exit code 2 with what to do, never retried."""
    if not space.place.ours:
        pytest.skip("needs a storage class whose volumes are as small as asked for")
    release = space.release(workspace={"size": "1Mi", "storageClass": "sized"})
    assert release.install().returncode == 0
    assert release.finish() == "Failed"
    assert codes(release, "download") == [2]
    assert "workspace" in ended(release.pods("download")[0])["message"]
