"""What the values set for pods holds for every pod of a run, created by helm, a Job or the TrainJob."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import ORDERINGS, WAITING, Space, eventually
from tests.support.hub import GOOD_TOKEN, Hub, Repo
from tests.support.registry import Registry

ON_LINUX = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
PLACE: dict[str, Any] = {
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [ON_LINUX]}}
    },
}
TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
WHERE = {"name": "WHERE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}
NOTE = "a,b and c=d"


@pytest.fixture
def priority(space: Space) -> Iterator[str]:
    """A priority class of the scenario's own, which belongs to no namespace."""
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    space.apply({**kind, "metadata": {"name": space.name}, "value": 1})
    yield space.name
    space.kubectl("delete", "priorityclass", space.name)


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_every_pod_is_what_the_values_say(
    space: Space, registry: Registry, hub: Hub, priority: str, ordering: str
) -> None:
    """Its node, its labels, its environment; a token from a secret that helm made; and no claim is kept."""
    hub.repos["models/team/secret"] = Repo(hub.repos["models/tiny/chat"].files, private=True)
    place = {**PLACE, "priorityClassName": priority}
    release = space.release(
        **ORDERINGS[ordering],
        model={"uri": "hf://team/secret"},
        train={"pod": {"shmSize": "300Mi"}},
        eval={"enabled": False},
        workspace={"keep": False},
        secrets={"hf": {"create": {"token": GOOD_TOKEN}}},
        stageDefaults={
            **place, "tolerations": [TAINT], "labels": {"team": "research"}, "annotations": {"why": NOTE},
            "env": {"LIST": NOTE, "WHERE": {"valueFrom": WHERE["valueFrom"]}},
        },
    )  # fmt: skip
    done = release.install(WAITING)
    assert done.returncode == 0, done.stdout + done.stderr
    release.complete()
    for stage in ("download", "train", "register"):
        [pod] = release.pods(stage)
        spec, meta = pod["spec"], pod["metadata"]
        assert {key: spec[key] for key in place} == place, stage
        assert TAINT in spec["tolerations"], stage
        assert (meta["labels"]["team"], meta["annotations"]["why"]) == ("research", NOTE), stage
        [container] = spec["containers"]
        assert {"name": "LIST", "value": NOTE} in container["env"] and WHERE in container["env"], stage
    [train] = release.pods("train")
    assert {"medium": "Memory", "sizeLimit": "300Mi"} in [v.get("emptyDir") for v in train["spec"]["volumes"]]
    assert len(registry.versions(space.name)) == 1
    assert release.uninstall().returncode == 0
    assert eventually(lambda: not space.get("pvc"), 60) is True, "workspace.keep is false"
