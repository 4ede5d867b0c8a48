"""`osft prune` in a claim of the cluster."""

import json
import signal
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import HOOKS, Object
from tests.client.claim import Cluster, finished, objects, pod_meta
from tests.client.local.sample import RUN
from tests.client.local.support import wait_for
from tests.support.prunable import fill, there

ALL = ["cache/models/old-1", "runs/old-1"]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return filled(tmp_path, finished(objects({})))


def filled(folder: Path, things: list[Object]) -> Cluster:
    """A cluster whose claim also holds an old run, a new one and a registered one."""
    cluster = Cluster(folder, things)
    fill(cluster.claim)
    return cluster


def left(cluster: Cluster) -> list[str]:
    """What there still is of what can be removed."""
    return [name for name in ALL if (cluster.claim / name).exists()]


def mounts(cluster: Cluster) -> list[bool]:
    """Whether each pod mounted the claim read-only."""
    return [pod["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] for pod in cluster.pods()]


def test_old_runs_of_a_claim_are_shown_by_a_pod_that_may_only_read(cluster: Cluster) -> None:
    done = cluster("prune", "-n", "team", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"keeps    {RUN} is younger than the limit",
        "keeps    kept-1 is registered",
        "keeps    new-1 is younger than the limit",
        "removes  pvc://demo-workspace/runs/old-1  run, 0 MiB",
        "removes  pvc://demo-workspace/cache/models/old-1  cache, 1 MiB",
        "2 folders, 1 MiB; nothing was removed (--dry-run).",
    ]
    assert mounts(cluster) == [True] and left(cluster) == ALL


@pytest.mark.parametrize("choice", [("-n", "team"), ("--release=demo",), ("--release=demo", "old-1")])
def test_what_was_shown_is_removed_by_a_pod_that_mounts_the_claim_writable(
    cluster: Cluster, choice: tuple[str, ...]
) -> None:
    done = cluster("prune", *choice, "--yes")
    assert done.returncode == 0 and done.stdout.endswith("removed 2 folders, 1 MiB\n"), done.stderr
    assert mounts(cluster) == [True, False]
    assert there(cluster.claim) == ([RUN, "kept-1", "new-1"], [".staging", "kept-1", "new-1", "shared"])


def test_the_pod_has_the_image_of_the_download_stage_and_its_own_component(cluster: Cluster) -> None:
    assert cluster("prune", "-n", "team", "--dry-run").returncode == 0
    pod = cluster.pod()
    (container,) = pod["spec"]["containers"]
    assert container["image"].rpartition("/")[2].startswith("download:")
    assert container["securityContext"]["readOnlyRootFilesystem"] and "env" not in container
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "prune"
    ((words, _),) = cluster.calls("exec")
    assert words[1] == pod["metadata"]["name"] and f"--container={container['name']}" in words


def test_what_changed_after_it_was_shown_is_kept_and_named(cluster: Cluster) -> None:
    cluster.state["meanwhile"] = "runs/old-1/download/more.jsonl"
    done = cluster("prune", "old-1", "new-1", "-n", "team", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "keeps    pvc://demo-workspace/runs/old-1, which changed after it was shown",
        "keeps    pvc://demo-workspace/cache/models/old-1, which changed after it was shown",
        "removed 2 folders, 1 MiB",
    ]
    assert there(cluster.claim) == ([RUN, "kept-1", "old-1"], [".staging", "kept-1", "old-1", "shared"])


def test_a_damaged_record_is_named_where_it_lies(cluster: Cluster) -> None:
    (cluster.claim / "runs" / "new-1" / "download" / "record.json").write_text("{")
    done = cluster("prune", "-n", "team", "--yes")
    assert done.returncode == 2 and "pvc://demo-workspace/runs/new-1/download" in done.stderr
    assert left(cluster) == ALL


def test_a_run_that_the_cluster_has_not_ended_is_running(tmp_path: Path) -> None:
    cluster = filled(tmp_path, objects({}))
    listed = cluster("prune", "-n", "team", "--older-than=0", "--dry-run")
    assert f"keeps    {RUN} is running" in listed.stdout, listed.stderr
    assert "keeps    caches are kept while a run is running" in listed.stdout
    named = cluster("prune", RUN, "-n", "team", "--yes")
    assert named.returncode == 2 and f"run {RUN} is running, so it is not removed" in named.stderr
    assert "command terminated" not in named.stderr


def test_a_run_whose_jobs_are_gone_has_ended_when_helm_says_so(tmp_path: Path) -> None:
    """A time to live removed the Jobs of a run with ordering hooks; an upgrade then began another run."""
    trainjob = next(thing for thing in objects(HOOKS) if thing["kind"] == "TrainJob")
    cluster = filled(tmp_path, [*finished(objects({}, run="demo-00000000")), trainjob])
    pending = "x Opaque 1 1d name=demo,owner=helm,status=pending-install,version=1"
    cluster.answer("get secrets", out=pending)
    assert f"{RUN} is running" in cluster("prune", "-n", "team", "--older-than=0", "--dry-run").stdout
    cluster.answer("get secrets", out=pending.replace("pending-install", "deployed"))
    assert f"{RUN} is running" not in cluster("prune", "-n", "team", "--older-than=0", "--dry-run").stdout


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("kept-1", "run kept-1 is registered, so it is not removed."),
        ("other", f"pvc://demo-workspace has no run other. It has: {RUN}, kept-1, new-1, old-1."),
    ],
)
def test_a_run_that_must_stay_or_does_not_exist_is_named(cluster: Cluster, run: str, says: str) -> None:
    done = cluster("prune", run, "-n", "team", "--yes")
    assert (done.returncode, done.stderr) == (2, f"Error: {says}\n")
    assert mounts(cluster) == [True]


def test_without_a_terminal_no_pod_that_may_write_is_created(cluster: Cluster) -> None:
    done = cluster("prune", "-n", "team")
    assert done.returncode == 2 and "Add --yes" in done.stderr
    assert mounts(cluster) == [True] and left(cluster) == ALL


def test_a_folder_of_this_machine_and_a_cluster_are_not_both_meant(cluster: Cluster) -> None:
    done = cluster("prune", "--release=demo", "--workspace=.", "--yes")
    assert done.returncode == 2 and "Leave out one of them" in done.stderr


def test_a_release_without_a_run_is_named(cluster: Cluster) -> None:
    done = cluster("prune", "--release=other", "-n", "team")
    assert done.returncode == 2 and "release other has no run in namespace team" in done.stderr
    cluster.state["objects"] = []
    none = cluster("prune", "-n", "team")
    assert none.returncode == 2 and "namespace team has no run" in none.stderr


def test_of_several_claims_one_must_be_chosen(tmp_path: Path) -> None:
    theirs = yaml.safe_load(yaml.safe_dump(objects({}, run="more-1a2b3c4d")).replace("demo", "more"))
    cluster = filled(tmp_path, finished([*objects({}), *theirs]))
    done = cluster("prune", "-n", "team", "--yes")
    assert done.returncode == 2
    assert "the claims of several releases: demo (demo-workspace), more (more-workspace)" in done.stderr
    assert cluster("prune", "-n", "team", "--release=demo", "--yes").returncode == 0
    assert left(cluster) == []


def test_a_release_that_downloads_in_its_training_pod_has_the_image(tmp_path: Path) -> None:
    cluster = filled(tmp_path, finished(objects({"data": {"runAs": "initContainer"}})))
    assert cluster("prune", "-n", "team", "--yes").returncode == 0
    for pod in cluster.pods():
        (container,) = pod["spec"]["containers"]
        assert "/download:" in container["image"] and "initContainers" not in pod["spec"]
        assert "nvidia.com/gpu" not in json.dumps(container["resources"])


def test_without_a_download_stage_another_release_must_be_named(tmp_path: Path) -> None:
    cluster = filled(tmp_path, finished(objects({"data": {"enabled": False}, "runId": RUN})))
    done = cluster("prune", "--release=demo", "-n", "team")
    assert done.returncode == 2
    assert "release demo in namespace team does not have a download stage" in done.stderr


def test_a_right_that_is_missing_is_named_with_the_role(cluster: Cluster) -> None:
    cluster.answer("auth can-i create pods --subresource=exec", 1, "no\n")
    done = cluster("prune", "-n", "team", "--yes")
    assert done.returncode == 2
    assert "create on pods/exec is denied" in done.stderr and "docs/cluster.md#rights" in done.stderr
    assert not cluster.calls("create")


def test_pods_that_may_not_be_listed_stop_it_before_anything_is_created(cluster: Cluster) -> None:
    jobs = json.dumps({"items": cluster.state["objects"]})
    denied = 'Error from server (Forbidden): pods is forbidden: User "x" cannot list resource "pods"'
    cluster.answer("get trainjobs.trainer.kubeflow.org,jobs.batch,pods", 1, jobs, denied)
    done = cluster("prune", "-n", "team", "--yes")
    assert done.returncode == 2
    assert "you are not allowed to list pods, so which runs are running is unknown" in done.stderr
    assert not cluster.calls("create")


def test_an_image_that_cannot_be_pulled_ends_the_command_and_deletes_the_pod(cluster: Cluster) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "prune", "state": waiting}]}
    cluster.answer("get pod demo-prune", out={"metadata": pod_meta(), "spec": {}, "status": status})
    done = cluster("prune", "-n", "team", "--yes")
    assert done.returncode == 2 and "does not start (ImagePullBackOff: not found)" in done.stderr
    cluster.pod()


@pytest.mark.parametrize(
    "said",
    [
        'OCI runtime exec failed: exec: "osft-ops": executable file not found in $PATH: unknown',
        "Error: No such command 'prune'.\ncommand terminated with exit code 2",
    ],
)
def test_an_image_from_before_this_command_is_named(cluster: Cluster, said: str) -> None:
    cluster.answer("exec", 2, err=said)
    done = cluster("prune", "-n", "team", "--yes")
    assert done.returncode == 2 and "is of a version without `osft-ops prune`" in done.stderr
    cluster.pod()


@pytest.mark.parametrize("code", [0, 1], ids=["silently", "with an error"])
def test_a_cut_connection_is_named_and_the_next_call_goes_on(cluster: Cluster, code: int) -> None:
    cluster.state |= {"cut": [5], "cut_code": code}
    done = cluster("prune", "-n", "team", "--yes")
    assert done.returncode == 75, done.stdout
    assert "the connection to the cluster was cut while folders were removed" in done.stderr
    assert len(cluster.pods()) == 2
    assert cluster("prune", "-n", "team", "--yes").returncode == 0
    assert left(cluster) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_deletes_its_pod(cluster: Cluster, number: int) -> None:
    cluster.state["hang"] = "--remove"
    with cluster.start("prune", "-n", "team", "--yes") as process:
        assert wait_for((cluster.folder / "hangs").exists)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert len(cluster.pods()) == 2 and left(cluster) == ALL
