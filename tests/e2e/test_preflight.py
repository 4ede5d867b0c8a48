"""What is wrong is said before anything else exists, all of it at once."""

from tests.e2e.harness import Space


def nothing_runs(space: Space) -> bool:
    """Whether no stage and no TrainJob was made. A TrainingRuntime by itself does nothing."""
    stages = space.get("pods", "--selector=app.kubernetes.io/component in (download,train,eval,register)")
    return not stages and not space.get("trainjobs")


def test_facts_of_the_cluster_are_refused_by_helm(space: Space) -> None:
    """A storage class, a GPU and an amount of memory that the cluster does not have."""
    release = space.release(
        workspace={"storageClass": "fast-ssd"},
        train={"gpus": 1},
        eval={"gpus": 0, "pod": {"resources": {"limits": {"memory": "900Gi"}}}},
        stageDefaults={"gpuResource": "amd.com/gpu"},
    )
    done = release.install()
    assert done.returncode == 1
    assert "3 problems in the values; nothing was created." in done.stderr, done.stderr
    assert "workspace.storageClass is fast-ssd, and this cluster has" in done.stderr
    assert "the pod of train asks for 1 of amd.com/gpu, of which the largest node has none" in done.stderr
    assert "the pod of eval asks for 900Gi of memory" in done.stderr
    assert nothing_runs(space) and not space.get("pvc") and not space.get("jobs")


def test_a_quota_that_is_too_small_is_refused_by_helm(space: Space) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}}
    space.apply({**quota, "spec": {"hard": {"limits.memory": "1Gi"}}})
    done = space.release().install()
    assert done.returncode == 1
    assert "train asks for 2Gi of limits.memory, and the quota team of namespace" in done.stderr
    assert nothing_runs(space) and not space.get("jobs")


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
