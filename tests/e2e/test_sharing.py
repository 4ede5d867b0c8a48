"""Several runs on one cluster: GPUs, queues, caches; and who may do and see what."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from tests.e2e.harness import HOOKS, ORDERINGS, UID, WAITING, Release, Space, eventually, phase_of
from tests.support.hub import GOOD_TOKEN, Hub
from tests.support.registry import Registry

CANARY = "hf_canary_0123456789abcdef"
GPU = "nvidia.com/gpu"
ON_GPU = {
    "train": {"epochs": 10, "pod": {"resources": {"limits": {GPU: "2"}}}},
    "eval": {"pod": {"resources": {"limits": {GPU: "2"}}}},
    "stageDefaults": {"gpuResource": "example.com/none"},
}
"""All GPUs of the node, asked for as any other resource: there is no device, the programs use the CPU."""


def gpu_pods(space: Space) -> list[tuple[str, str]]:
    """Release and phase of every pod that asks for a GPU."""
    return [
        (pod["metadata"]["labels"]["app.kubernetes.io/instance"], phase_of(pod))
        for pod in space.get("pods")
        if GPU in pod["spec"]["containers"][0]["resources"].get("limits", {})
    ]


def test_two_runs_share_the_gpus(space: Space) -> None:
    """The second waits for its turn, no pod holds a GPU before its stage, and both finish."""
    first, second = space.release("first", **ON_GPU), space.release("second", **ON_GPU)
    assert first.install().returncode == 0
    assert eventually(lambda: ("first", "Running") in gpu_pods(space), 180), first.story()
    assert second.install().returncode == 0
    assert eventually(lambda: ("second", "Pending") in gpu_pods(space), 180), second.story()
    while not (first.condition() and second.condition()):
        assert sum(phase == "Running" for _, phase in gpu_pods(space)) <= 1
        time.sleep(2)
    assert (first.condition(), second.condition()) == ("Complete", "Complete")


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_queue_holds_the_run_until_it_is_let_go(space: Space, ordering: str) -> None:
    """In hooks ordering helm waits as long. Without an address nothing is registered and the run is done."""
    short = {"eval": {"enabled": False}, "register": {"address": ""}}
    release = space.release(**ORDERINGS[ordering], **short, queue={"name": "team", "suspend": True})
    with ThreadPoolExecutor() as aside:
        installed = aside.submit(release.install, "--timeout=10m")
        assert eventually(lambda: suspended(release), 180), release.story()
        name = release.trainjob["metadata"]["name"]
        assert release.trainjob["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
        # In hooks ordering the download is a Job of its own, before the TrainJob.
        assert not release.pods("download" if ordering == "cluster" else "train")
        change = '{"spec":{"suspend":false}}'
        patched = space.kubectl("patch", "trainjob", name, "--type=merge", "--patch", change)
        assert patched.returncode == 0, patched.stderr
    assert installed.result().returncode == 0, installed.result().stderr
    release.complete()
    assert release.record("register")["status"] == "skipped"


def suspended(release: Release) -> bool:
    """Whether there is a TrainJob that says that it is held."""
    jobs = release.space.get("trainjobs")
    conditions = [item for job in jobs for item in job.get("status", {}).get("conditions", [])]
    return any(item["type"] == "Suspended" and item["status"] == "True" for item in conditions)


def test_two_runs_at_once_download_the_model_once(space: Space, hub: Hub) -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"}}
    size = {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteMany"]}
    space.apply({**claim, "spec": size})
    hub.asked.clear()
    more = {"workspace": {"existingClaim": "shared"}, "eval": {"enabled": False}}
    both = [space.release(name, **more, register={"enabled": False}) for name in ("first", "second")]
    for release in both:
        assert release.install().returncode == 0
    for release in both:
        release.complete()
    asked = [line for line in hub.asked if line.startswith("GET") and line.endswith("/model.safetensors")]
    assert len(asked) == 1, asked


def test_accounts_and_secrets(space: Space, registry: Registry) -> None:
    """No token in the stages, no right that is not used, and secrets that show nowhere but where they lie."""
    space.secret("hub", HF_TOKEN=GOOD_TOKEN)
    space.secret("canary", AWS_ACCESS_KEY_ID="canary", AWS_SECRET_ACCESS_KEY=CANARY)
    release = space.release(**HOOKS, secrets={"hf": {"existing": "hub"}, "s3": {"existing": "canary"}})
    done = release.install(WAITING)
    assert done.returncode == 0, done.stderr
    for stage in ("download", "train", "eval", "register"):
        [pod] = release.pods(stage)
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsUser"] == UID
    lend_the_account_of_an_uninstall(space, release)
    for account, expected in RIGHTS.items():
        assert rights(space, f"{release.name}-{account}") == expected
    for value in (CANARY, GOOD_TOKEN):
        assert value not in everything(space, release)
        assert value not in json.dumps([registry.models(space.name), registry.versions(space.name)])


SEEK_AND_DELETE = ["get", "list", "delete"]
RIGHTS: dict[str, dict[str, list[str]]] = {
    "wait": {"trainjobs.trainer.kubeflow.org": ["get"], "jobs.batch": ["list"], "pods": ["list"]},
    "cleanup": {
        "trainjobs.trainer.kubeflow.org": SEEK_AND_DELETE,
        "trainingruntimes.trainer.kubeflow.org": SEEK_AND_DELETE,
        "jobs.batch": SEEK_AND_DELETE,
        "pods": SEEK_AND_DELETE,
        "networkpolicies.networking.k8s.io": SEEK_AND_DELETE,
    },
}


def lend_the_account_of_an_uninstall(space: Space, release: Release) -> None:
    """Helm makes it for the seconds in which an uninstall runs: too short to be asked about."""
    for item in yaml.safe_load_all(release.get("hooks")):
        if item["kind"] in ("ServiceAccount", "Role", "RoleBinding"):
            assert item["metadata"]["name"] == f"{release.name}-cleanup"
            space.apply(item)


def rights(space: Space, account: str) -> dict[str, list[str]]:
    """What an account may do in its namespace beyond what everybody may."""
    everybodys = listed_rights(space, "nobody")
    return {
        what: verbs
        for what, verbs in listed_rights(space, account).items()
        if (what, verbs) not in everybodys.items()
    }


def listed_rights(space: Space, account: str) -> dict[str, list[str]]:
    """What `kubectl auth can-i --list` says of an account: verbs by kind; the last column of each line."""
    words = ("auth", "can-i", "--list", f"--as=system:serviceaccount:{space.name}:{account}")
    lines = space.kubectl(*words).stdout.splitlines()
    return {line.split()[0]: line[line.rindex("[") + 1 : -1].split() for line in lines if line[-1:] == "]"}


def everything(space: Space, release: Release) -> str:
    """All that one can see of a run without the right to read secrets: logs, objects, events, records."""
    kinds = "trainjobs,trainingruntimes,jobs,jobsets,pods,events,configmaps,pvc"
    objects = space.kubectl("get", kinds, "--output=yaml").stdout
    logs = "".join(space.kubectl("logs", pod["metadata"]["name"]).stdout for pod in release.pods())
    records: list[Any] = [release.record(stage) for stage in ("download", "train", "eval", "register")]
    return objects + logs + json.dumps(records) + release.get("all")
