"""`osft report` and `osft fetch` for runs on a cluster."""

import signal
from pathlib import Path

import pytest

from tests.chart.rendering import COMPONENT, HOOKS, Object
from tests.client.claim import WEIGHTS, Cluster, objects, pod_meta
from tests.client.local.sample import RUN, URL, write_run
from tests.client.local.support import OSFT, wait_for


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, objects({}))


def test_a_run_of_the_cluster_is_reported_like_one_of_this_machine(cluster: Cluster) -> None:
    done = cluster("report", "demo", "-n", "team")
    assert done.returncode == 0, done.stderr
    for words in (f"{RUN}  done", "What was learned", "What was kept", URL):
        assert words in done.stdout
    assert f"pvc://demo-workspace/runs/{RUN}/train/model\n" in done.stdout
    assert done.stdout.rstrip().endswith(f"fetch {RUN} --namespace=team")
    assert not list((cluster.folder / "here").iterdir())


@pytest.mark.parametrize("values", [{}, HOOKS], ids=["cluster", "hooks"])
def test_the_pod_that_reads_is_the_release_s_own_and_may_only_read(tmp_path: Path, values: Object) -> None:
    pull = {"images": {"pullSecrets": ["mirror"]}, "stageDefaults": {"labels": {"team": "a"}}}
    cluster = Cluster(tmp_path, objects({**values, **pull}))
    assert cluster("report", "demo", "-n", "team").returncode == 0
    pod = cluster.pod()
    (container,) = pod["spec"]["containers"]
    assert container["image"].rpartition("/")[2].startswith("register:")
    assert [(mount["mountPath"], mount["readOnly"]) for mount in container["volumeMounts"]] == [
        ("/workspace", True)
    ]
    assert container["securityContext"]["readOnlyRootFilesystem"] and "env" not in container
    assert pod["spec"]["securityContext"]["fsGroup"] == 0
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["imagePullSecrets"] == [{"name": "mirror"}]
    assert pod["spec"]["activeDeadlineSeconds"] == 6 * 3600
    labels = pod["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "read" and labels["team"] == "a"


def test_a_pod_with_a_job_s_labels_is_not_created(tmp_path: Path) -> None:
    things = objects(HOOKS)
    for thing in things:
        if thing["kind"] == "Job":
            own = {"batch.kubernetes.io/controller-uid": "x", "controller-uid": "x", "job-name": "y"}
            thing["spec"]["template"]["metadata"]["labels"] |= own
    cluster = Cluster(tmp_path, things)
    assert cluster("report", "demo", "-n", "team").returncode == 0
    assert not [key for key in cluster.pod()["metadata"]["labels"] if "job" in key or "controller" in key]


def test_the_page_of_a_run_on_the_cluster_is_copied(cluster: Cluster) -> None:
    missing = cluster("report", "demo", "-n", "team", "--copy", "r.html")
    assert missing.returncode == 2
    assert f"has no report: expected pvc://demo-workspace/runs/{RUN}/eval/report.html" in missing.stderr
    (cluster.claim / "runs" / RUN / "eval" / "report.html").write_text("<p>page</p>")
    done = cluster("report", "demo", "-n", "team", "--copy", "r.html")
    assert done.returncode == 0 and "copied to r.html" in done.stdout, done.stderr
    assert (cluster.folder / "here" / "r.html").read_text() == "<p>page</p>"


def test_the_tuned_model_is_fetched_from_the_cluster(cluster: Cluster) -> None:
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 0, done.stderr
    assert f"2 files, 1 MiB, in {RUN}; every sha256 is as recorded" in done.stdout
    model = cluster.folder / "here" / RUN / "train" / "model"
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "model.safetensors"]
    assert (model / "model.safetensors").read_bytes() == WEIGHTS
    cluster.pod()


@pytest.mark.parametrize("code", [0, 1], ids=["silently", "with an error"])
def test_a_cut_connection_publishes_nothing_and_the_next_call_continues(cluster: Cluster, code: int) -> None:
    cluster.state |= {"cut": [300_000], "cut_code": code}
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 75, done.stdout
    assert "was cut while runs/demo-1a2b3c4d/train/model/model.safetensors was read" in done.stderr
    assert "it continues where it stopped" in done.stderr
    model = cluster.folder / "here" / RUN / "train" / "model"
    assert not (model / "model.safetensors").exists()
    cluster.state["cut"] = []
    assert cluster("fetch", "demo", "-n", "team").returncode == 0
    assert (model / "model.safetensors").read_bytes() == WEIGHTS
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "model.safetensors"]
    firsts = [words[-1] for words, _ in cluster.calls("exec") if words[-2].endswith("model.safetensors")]
    assert firsts == ["1", "300001"]


def test_a_file_that_changed_in_the_claim_is_not_fetched(cluster: Cluster) -> None:
    (cluster.claim / "runs" / RUN / "train" / "model" / "config.json").write_text("[]")
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2 and "has a different sha256 than its record says" in done.stderr
    assert not list((cluster.folder / "here").rglob("*config.json*"))


def test_a_file_that_is_gone_from_the_claim_is_named(cluster: Cluster) -> None:
    (cluster.claim / "runs" / RUN / "train" / "metrics.jsonl").unlink()
    done = cluster("fetch", "demo", "train/metrics.jsonl", "-n", "team")
    assert done.returncode == 2
    assert "train/metrics.jsonl is missing in the claim demo-workspace" in done.stderr


def test_a_run_of_this_machine_comes_first_and_the_cluster_is_asked_for_others(cluster: Cluster) -> None:
    assert cluster("report", "demo").returncode == 0
    assert len(cluster.calls("create")) == 1
    write_run(cluster.folder / "nothing")
    assert "Ask both models" in cluster("report", "demo").stdout
    assert len(cluster.calls("create")) == 1
    only_here = cluster("report", "other", "--workspace", cluster.folder / "nothing")
    assert only_here.returncode == 2 and "no finished run of 'other'" in only_here.stderr
    both = cluster("report", "demo", "-n", "team", "--workspace", ".")
    assert both.returncode == 2 and "Leave out one of them" in both.stderr


def test_a_run_that_an_upgrade_replaced_is_read_by_its_id(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, objects({}, run="demo-00000000"))
    assert f"{RUN}  done" in cluster("report", RUN, "-n", "team").stdout
    new = cluster("report", "demo", "-n", "team")
    assert new.returncode == 2
    assert "pvc://demo-workspace/runs/demo-00000000 has no record" in new.stderr


def test_a_failed_run_of_the_cluster_is_reported_with_where_and_why(tmp_path: Path) -> None:
    things = objects(HOOKS)
    said = "1 of 1 rows cannot be used. Correct them."
    (job,) = (thing for thing in things if thing["metadata"]["labels"][COMPONENT] == "download")
    failed = {"type": "Failed", "status": "True", "lastTransitionTime": "2026-11-21T17:00:00Z"}
    job["status"] = {"conditions": [failed], "failed": 1}
    cluster = Cluster(tmp_path, [*things, failed_pod(job, said)])
    for stage in ("download", "train", "eval", "register"):
        (cluster.claim / "runs" / RUN / stage / "record.json").unlink()
    done = cluster("report", "demo", "-n", "team")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{RUN}\nfailed in download with exit code 2: {said}\n")
    page = cluster("report", "demo", "-n", "team", "--copy", "r.html")
    assert page.returncode == 2 and said in page.stderr


def failed_pod(job: Object, said: str) -> Object:
    """The pod of a Job whose container ended with exit code 2."""
    meta, template = job["metadata"], job["spec"]["template"]
    name = template["spec"]["containers"][0]["name"]
    ended = {"exitCode": 2, "message": said, "reason": "Error", "finishedAt": "2026-11-21T17:00:00Z"}
    own = {"batch.kubernetes.io/job-name": meta["name"], "job-name": meta["name"]}
    return {
        "kind": "Pod",
        "metadata": {**meta, "name": f"{meta['name']}-x", "labels": {**meta["labels"], **own},
                     "ownerReferences": [{"kind": "Job", "name": meta["name"], "uid": meta["uid"]}]},
        "spec": {**template["spec"], "nodeName": "node-1"},
        "status": {"phase": "Failed", "containerStatuses": [{"name": name, "state": {"terminated": ended}}]},
    }  # fmt: skip


def test_a_release_without_a_run_is_named(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, [])
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2 and "release demo has no run in namespace team" in done.stderr
    everywhere = cluster("fetch", "demo")
    assert "has no finished run of 'demo'" in everywhere.stderr
    assert "release demo has no run in namespace team" in everywhere.stderr


def test_a_claim_that_is_gone_is_named_before_a_pod_is_created(cluster: Cluster) -> None:
    said = 'Error from server (NotFound): persistentvolumeclaims "demo-workspace" not found'
    cluster.answer("get persistentvolumeclaim", 1, err=said)
    del cluster.state["answers"]["get persistentvolumeclaim demo-workspace"]
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2
    assert "the PersistentVolumeClaim demo-workspace does not exist in namespace team" in done.stderr
    assert not cluster.calls("create")


def test_a_right_that_is_missing_is_named_with_the_role(cluster: Cluster) -> None:
    cluster.answer("auth can-i create pods --subresource=exec", 1, "no\n")
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2
    assert "create on pods/exec is denied" in done.stderr and "docs/cluster.md#rights" in done.stderr
    assert not cluster.calls("create")
    cluster.answer("auth can-i create pods --subresource=exec", out="yes\n")
    denied = 'Error from server (Forbidden): pods is forbidden: User "x" cannot create resource "pods"'
    cluster.answer("create", 1, err=denied)
    done = cluster("fetch", "demo", "-n", "team")
    assert done.returncode == 2 and "cannot create resource" in done.stderr


def test_a_claim_that_one_node_holds_is_read_there(cluster: Cluster) -> None:
    volume = {"name": "workspace", "persistentVolumeClaim": {"claimName": "demo-workspace"}}
    busy = {"spec": {"nodeName": "node-7", "volumes": [volume]}, "status": {"phase": "Running"}}
    cluster.answer("get pods", out={"items": [busy]})
    assert cluster("report", "demo", "-n", "team").returncode == 0
    (term,) = cluster.pod()["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    assert term["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": ["node-7"]}]


def test_an_image_that_cannot_be_pulled_ends_the_command_and_deletes_the_pod(cluster: Cluster) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "read", "state": waiting}]}
    cluster.answer("get pod demo-read", out={"metadata": pod_meta(), "spec": {}, "status": status})
    done = cluster("report", "demo", "-n", "team")
    assert done.returncode == 2
    assert "does not start (ImagePullBackOff: not found)" in done.stderr
    cluster.pod()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_deletes_its_pod(cluster: Cluster, number: int) -> None:
    cluster.state["hang"] = "model.safetensors"
    with cluster.start("fetch", "demo", "-n", "team") as process:
        assert wait_for((cluster.folder / "hangs").exists)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    cluster.pod()


PYTHON = """\
from osft_pipeline import ClusterRun
from osft_pipeline.kubectl import Kubectl

run = ClusterRun(Kubectl.of("team", None, None), "demo")
print(run.results["summary"]["headline"])
print(run.report()._repr_html_()[:15])
"""


def test_results_and_report_of_a_run_on_the_cluster_are_read_from_python(cluster: Cluster) -> None:
    (cluster.claim / "runs" / RUN / "eval" / "report.html").write_text("<p>page</p>")
    done = cluster("-c", PYTHON, program=OSFT.with_name("python"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "<iframe srcdoc="
    assert "forgot some of what it knew" in done.stdout
    assert len(cluster.calls("create")) == len(cluster.calls("delete")) == 2
