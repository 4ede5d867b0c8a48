"""What is wrong is said before anything else exists, all of it at once."""

import pytest

from tests.e2e.harness import Space


def nothing_runs(space: Space) -> bool:
    """Whether no stage and no TrainJob was made. A TrainingRuntime by itself does nothing."""
    stages = space.get("pods", "--selector=app.kubernetes.io/component in (download,train,eval,register)")
    return not stages and not space.get("trainjobs")


def test_what_the_cluster_does_not_have_is_said_by_osft_run(space: Space) -> None:
    """A storage class, a GPU and an amount of memory that the cluster does not have."""
    release = space.release(
        workspace={"storageClass": "fast-ssd"},
        train={"gpus": 1},
        eval={"gpus": 0, "pod": {"resources": {"limits": {"memory": "900Gi"}}}},
        stageDefaults={"gpuResource": "amd.com/gpu"},
    )
    done = release.osft("run")
    assert done.returncode == 2
    assert "3 problems found:" in done.stderr and "Nothing was created." in done.stderr, done.stderr
    assert "workspace.storageClass is fast-ssd, and the storage classes of this cluster are" in done.stderr
    assert "the pod of train asks for 1 of amd.com/gpu, of which the largest node has none" in done.stderr
    assert "the pod of eval asks for 900Gi of memory" in done.stderr
    assert nothing_runs(space) and not space.get("pvc") and not space.get("jobs")


def test_a_quota_that_is_too_small_is_named_by_osft_check(space: Space) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}}
    space.apply({**quota, "spec": {"hard": {"limits.memory": "1Gi"}}})
    done = space.release().osft("check")
    assert done.returncode == 2
    assert "train asks for 2Gi of limits.memory, and the quota team of namespace" in done.stderr
    assert nothing_runs(space) and not space.get("jobs")


@pytest.mark.core
def test_secrets_and_addresses_are_refused_by_the_preflight_job(space: Space) -> None:
    """A missing secret, one without the key, a registry where nobody listens: all in helm's output."""
    space.secret("s3-keys", AWS_ACCESS_KEY_ID="a-key")
    release = space.release(
        data={"uri": "s3://bucket/rows.jsonl", "s3": {"endpoint": space.place.s3}},
        register={"address": f"http://{space.place.host}:9"},
        secrets={"hf": {"existing": "hub-token"}, "s3": {"existing": "s3-keys"}},
        preflight={"pod": {"retries": 0}},
    )
    done = release.install("--timeout=3m")
    assert done.returncode == 1
    for words in (
        "3 problems before the start:",
        "HF_TOKEN is empty or missing: secret hub-token in namespace",
        "AWS_SECRET_ACCESS_KEY is empty or missing: secret s3-keys in namespace",
        f"register.address at http://{space.place.host}:9 cannot be reached",
    ):
        assert words in done.stderr
    [pod] = release.pods("preflight")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 2
    assert nothing_runs(space)


def test_an_evaluation_that_would_fail_is_refused_before_the_data_is_downloaded(space: Space) -> None:
    """A task that neither the image nor the mounted folder has, asked of the evaluation's own image."""
    tasks = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "our-tasks"}}
    space.apply({**tasks, "data": {"notes.txt": "No task here yet."}})
    pod = {
        "extraVolumes": [{"name": "tasks", "configMap": {"name": "our-tasks"}}],
        "extraVolumeMounts": [{"name": "tasks", "mountPath": "/tasks", "readOnly": True}],
    }
    release = space.release(
        eval={"tasks": ["osft_retention", "osft_verb"], "includePath": "/tasks", "pod": pod},
        preflight={"pod": {"retries": 0}},
    )
    done = release.install("--timeout=5m")
    assert done.returncode == 1
    assert "task 'osft_verb' is unknown" in done.stderr and "Near: osft_verbs" in done.stderr, done.stderr
    [checked] = release.pods("preflight")
    ended = {one["name"]: one["state"]["terminated"] for one in checked["status"]["containerStatuses"]}
    assert ended["eval-check"]["exitCode"] == 2 and "osft_verb" in ended["eval-check"]["message"]
    assert nothing_runs(space)
