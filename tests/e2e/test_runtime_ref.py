"""Training on a runtime that an administrator has installed: `train.runtimeRef`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import HOOKS, OSFT, WAITING, Space, Values, call
from tests.support.registry import Registry

IMAGE = "registry.invalid/torch:1"
"""What the runtime would run by itself; no cluster can pull it."""


def runtime(name: str) -> Values:
    """A runtime in the shape of Kubeflow's own, with a volume and a variable that the pods must keep."""
    node = {
        "name": "node",
        "image": IMAGE,
        "env": [{"name": "FROM_RUNTIME", "value": "kept"}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/of-the-runtime"}],
    }
    pod = {"spec": {"containers": [node], "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}}]}}
    step = {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}
    jobs = [{"name": "node", "template": {"metadata": step, "spec": {"template": pod}}}]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": name, "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": jobs}}},
    }


@pytest.fixture
def installed(space: Space) -> Iterator[str]:
    """The name of a ClusterTrainingRuntime, which is deleted after the scenario."""
    space.apply(runtime(space.name))
    yield space.name
    space.kubectl("delete", "clustertrainingruntime", space.name, "--wait=false")


def on(name: str, **train: Any) -> Values:
    """Values for training on an installed runtime."""
    return {**HOOKS, "train": {"runtimeRef": {"name": name}, **train}}


def test_a_run_on_an_installed_runtime_is_registered(
    space: Space, registry: Registry, installed: str
) -> None:
    shared = {"workspace": {"accessModes": ["ReadWriteMany"]}, "eval": {"enabled": False}}
    release = space.release("run1", **on(installed, nodes=2), **shared)
    checked = release.osft("check")
    assert f"training runtime: ClusterTrainingRuntime {installed}" in checked.stdout, checked.stderr
    done = release.install(WAITING)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [version["name"] for version in registry.versions(space.name)] == [release.run]
    assert not space.get("trainingruntimes")
    assert release.trainjob["spec"]["runtimeRef"]["name"] == installed
    assert release.record("train")["details"]["nodes"] == 2
    pods = release.pods("train")
    assert len(pods) == 2
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert container["image"].startswith(space.place.images)
        assert {"name": "FROM_RUNTIME", "value": "kept"} in container["env"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts.items() >= {"/of-the-runtime": "tmp", "/workspace": "osft-workspace"}.items()
    followed = call(OSFT, "follow", release.name, "--namespace", space.name, **space.env)
    assert followed.returncode == 0, followed.stdout


def test_what_cannot_succeed_is_reported_though_the_runtime_retries_it(space: Space, installed: str) -> None:
    """The runtime has no failure policy: its pods restart in place after any exit code."""
    release = space.release("run1", **on(installed, targetPatterns=["no_such_matrix"]))
    done = release.install(WAITING)
    assert done.returncode == 1
    assert "target pattern no_such_matrix is in no weight matrix" in done.stderr, done.stderr


def test_a_runtime_that_is_not_installed_is_refused_before_anything_exists(
    space: Space, installed: str
) -> None:
    release = space.release("run1", **on("no-such-runtime"))
    done = release.install(WAITING)
    assert done.returncode == 1
    assert "ClusterTrainingRuntime no-such-runtime does not exist. Usable here:" in done.stderr, done.stderr
    assert installed in done.stderr
    assert not space.get("jobs") and not space.get("pvc")
