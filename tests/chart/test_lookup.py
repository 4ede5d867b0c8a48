"""What the chart asks a cluster while helm renders: an install must never touch a claim that is there.

A small server on loopback speaks the discovery and read calls of the Kubernetes API; helm asks it as any. It
allows what the Role of docs/cluster.md allows, and nothing else.
"""

import json
import re
import subprocess
import threading
from collections.abc import Iterator, Set
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import BIN, CHART, DATA, ROOT, Object, kinds, one, overlay, stage_pods

CORE = {
    "pods": "Pod",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "secrets": "Secret",
    "namespaces": "Namespace",
    "nodes": "Node",
    "configmaps": "ConfigMap",
}
UNBOUND = ("namespaces", "nodes", "storageclasses", "clustertrainingruntimes")
TRAINER = {
    "trainjobs": "TrainJob",
    "trainingruntimes": "TrainingRuntime",
    "clustertrainingruntimes": "ClusterTrainingRuntime",
}
GROUPS = {
    "batch/v1": {"jobs": "Job"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "storage.k8s.io/v1": {"storageclasses": "StorageClass"},
    "trainer.kubeflow.org/v1alpha1": TRAINER,
}
CLAIM: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "run1-workspace", "namespace": "team"},
    "spec": {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "nfs",
        "resources": {"requests": {"storage": "1Ti"}},
    },
}


RESOURCE = re.compile(r"/api(?:s/[^/]+)?/v\w+/(?:namespaces/[^/]+/)?([a-z]+)(?:/[^/]+)?")
"""The path of objects: resource."""
ROLE = next(
    found
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "cluster.md").read_text(), re.DOTALL)
    if (found := yaml.safe_load(block)).get("kind") == "Role"
)
READABLE = {name for rule in ROLE["rules"] if "get" in rule["verbs"] for name in rule["resources"]}


class Cluster(ThreadingHTTPServer):
    """The API of a cluster that serves `groups` and holds `objects`, by path."""

    objects: dict[str, Object]
    groups: dict[str, dict[str, str]]
    readable: Set[str] = READABLE

    def answer(self, path: str) -> Object | None:
        """Return the JSON for a path; None for 404."""
        if path == "/version":
            return {"major": "1", "minor": "35", "gitVersion": "v1.35.4"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/api/v1":
            return resources("v1", {**CORE, "serviceaccounts": "ServiceAccount"})
        if path == "/apis":
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [group(name) for name in self.groups],
            }
        if path.startswith("/apis/") and path.removeprefix("/apis/") in self.groups:
            name = path.removeprefix("/apis/")
            return resources(name, self.groups[name])
        return self.objects.get(path)


def group(name: str) -> Object:
    """Return a group in the list of groups."""
    version = {"groupVersion": name, "version": name.split("/")[1]}
    return {"name": name.split("/")[0], "versions": [version], "preferredVersion": version}


def resources(name: str, plurals: dict[str, str]) -> Object:
    """Return the resources of a group."""
    listed = [
        {
            "name": plural,
            "singularName": "",
            "namespaced": plural not in UNBOUND,
            "kind": kind,
            "verbs": ["get"],
        }
        for plural, kind in plurals.items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed}


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    server: Cluster

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        found = self.server.answer(path)
        code = 200 if found else 404
        if (asked := RESOURCE.fullmatch(path)) and asked[1] not in self.server.readable:
            code, found = 403, None
        reason = {403: "Forbidden", 404: "NotFound"}.get(code)
        failure = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "code": code,
            "message": f"{path}: {reason}",
        }
        body = json.dumps(found or failure).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    server = Cluster(("127.0.0.1", 0), Handler)
    server.objects, server.groups = {}, dict(GROUPS)
    path = "/api/v1/namespaces/team/serviceaccounts/default"
    server.objects[path] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(
    cluster: Cluster, tmp_path: Path, helm: str, values: Object, *flags: str
) -> subprocess.CompletedProcess[str]:
    """Run `helm template --dry-run=server`, which asks the cluster."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    (tmp_path / "values.json").write_text(json.dumps(overlay(DATA, values)))
    asking = [
        "--dry-run=server",
        "--disable-openapi-validation",
        *(["--validate"] if helm == "helm3" else []),
    ]
    command = [BIN / helm, "template", "run1", CHART, *asking, "--namespace", "team", *flags]
    return subprocess.run(
        [*command, "--values", tmp_path / "values.json"],
        env={"KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def objects(done: subprocess.CompletedProcess[str]) -> list[Object]:
    """Return what was rendered."""
    assert done.returncode == 0, done.stderr
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


def hold(cluster: Cluster, path: str, *items: Object) -> None:
    """Let the cluster hold these and no others of their kind."""
    kind = "List" if not items else f"{items[0]['kind']}List"
    version = "v1" if not items else items[0]["apiVersion"]
    cluster.objects[path] = {"apiVersion": version, "kind": kind, "metadata": {}, "items": list(items)}


def claim_at(cluster: Cluster, claim: Object) -> None:
    """Let the cluster hold a claim."""
    cluster.objects[f"/api/v1/namespaces/team/persistentvolumeclaims/{claim['metadata']['name']}"] = claim


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_a_claim_that_is_there_is_left_alone(cluster: Cluster, tmp_path: Path, helm: str) -> None:
    assert "PersistentVolumeClaim" in kinds(objects(ask(cluster, tmp_path, helm, {})))
    claim_at(cluster, CLAIM)
    for flags in ((), ("--is-upgrade",)):
        assert "PersistentVolumeClaim" not in kinds(objects(ask(cluster, tmp_path, helm, {}, *flags)))


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_a_runtime_of_the_same_content_is_not_made_again(cluster: Cluster, tmp_path: Path, helm: str) -> None:
    runtime = one(objects(ask(cluster, tmp_path, helm, {})), "TrainingRuntime")
    path = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainingruntimes/"
    cluster.objects[path + runtime["metadata"]["name"]] = runtime
    again = objects(ask(cluster, tmp_path, helm, {}, "--is-upgrade"))
    assert "TrainingRuntime" not in kinds(again)
    assert one(again, "TrainJob")["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    changed = objects(ask(cluster, tmp_path, helm, {"train": {"epochs": 2}}, "--is-upgrade"))
    assert "TrainingRuntime" in kinds(changed)


INSTALLED: Object = {
    "ordering": "hooks",
    "hooks": {"timeoutMinutes": 60},
    "train": {"runtimeRef": {"name": "torch-distributed"}},
}
RUNTIMES = "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes"


def runtime(name: str, job: str = "node") -> Object:
    """Return an installed runtime with one job."""
    step = {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}
    pod = {"spec": {"containers": [{"name": "node"}]}}
    jobs = [{"name": job, "template": {"metadata": step, "spec": {"template": pod}}}]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": name},
        "spec": {"mlPolicy": {"torch": {}}, "template": {"spec": {"replicatedJobs": jobs}}},
    }


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_an_installed_runtime_that_is_missing_or_has_no_job_for_training_is_a_sentence(
    cluster: Cluster, tmp_path: Path, helm: str
) -> None:
    cluster.readable = READABLE | {"clustertrainingruntimes"}
    hold(cluster, RUNTIMES, runtime("other"), runtime("launched", "launcher"))
    said = ask(cluster, tmp_path, helm, INSTALLED).stderr
    assert "ClusterTrainingRuntime torch-distributed does not exist. Usable here: other. Correct" in said
    launched = overlay(INSTALLED, {"train": {"runtimeRef": {"name": "launched"}}})
    assert "launched has no job that this chart can use" in ask(cluster, tmp_path, helm, launched).stderr
    hold(cluster, RUNTIMES, runtime("torch-distributed"))
    job = one(objects(ask(cluster, tmp_path, helm, INSTALLED)), "TrainJob")
    assert job["spec"]["runtimeRef"]["name"] == "torch-distributed"
    cluster.objects.pop(RUNTIMES)
    assert "Usable here: none." in ask(cluster, tmp_path, helm, INSTALLED).stderr


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_who_may_not_list_runtimes_of_the_cluster_installs_without_preflight(
    cluster: Cluster, tmp_path: Path, helm: str
) -> None:
    refused = ask(cluster, tmp_path, helm, INSTALLED)
    assert refused.returncode != 0 and "clustertrainingruntimes: Forbidden" in refused.stderr
    without = overlay(INSTALLED, {"preflight": {"enabled": False}})
    assert "TrainJob" in kinds(objects(ask(cluster, tmp_path, helm, without)))


def test_what_the_claim_is_counts_and_not_what_the_values_say(cluster: Cluster, tmp_path: Path) -> None:
    claim_at(cluster, CLAIM)
    two = objects(ask(cluster, tmp_path, "helm4", {"train": {"nodes": 2}}, "--is-upgrade"))
    assert "/workspace" in stage_pods(two)["preflight"].mounts
    claim_at(cluster, overlay(CLAIM, {"spec": {"accessModes": ["ReadWriteOnce"]}}))
    refused = ask(cluster, tmp_path, "helm4", {"train": {"nodes": 2}})
    assert "set workspace.existingClaim to a claim that is ReadWriteMany" in refused.stderr
    shared = {"train": {"nodes": 2}, "workspace": {"existingClaim": "disk"}}
    claim_at(
        cluster, overlay(CLAIM, {"metadata": {"name": "disk"}, "spec": {"accessModes": ["ReadWriteOnce"]}})
    )
    assert "the workspace disk is not ReadWriteMany" in ask(cluster, tmp_path, "helm4", shared).stderr


def test_a_storage_class_that_a_claim_cannot_take_is_a_sentence(cluster: Cluster, tmp_path: Path) -> None:
    claim_at(cluster, CLAIM)
    refused = ask(cluster, tmp_path, "helm4", {"workspace": {"storageClass": "fast"}})
    assert 'the claim run1-workspace exists with storage class "nfs"' in refused.stderr
    assert objects(ask(cluster, tmp_path, "helm4", {"workspace": {"storageClass": "nfs"}}))


def test_a_claim_smaller_than_asked_for_is_a_sentence_with_the_command(
    cluster: Cluster, tmp_path: Path
) -> None:
    claim_at(cluster, CLAIM)
    refused = ask(cluster, tmp_path, "helm4", {"workspace": {"size": "2Ti"}})
    assert "workspace.size is 2Ti and the claim run1-workspace has 1Ti" in refused.stderr
    assert "kubectl -n team patch pvc run1-workspace" in refused.stderr
    assert objects(ask(cluster, tmp_path, "helm4", {"workspace": {"size": "1000Gi"}}))


def test_claims_with_rows_must_be_there(cluster: Cluster, tmp_path: Path) -> None:
    values: Object = {"data": {"uri": "pvc://rows/a.jsonl"}, "workspace": {"existingClaim": "disk"}}
    for name in ("rows", "disk"):
        assert f"the PersistentVolumeClaim {name} does not exist in namespace team" in refusal(
            cluster, tmp_path, values
        )
    claim_at(cluster, overlay(CLAIM, {"metadata": {"name": "disk"}}))
    claim_at(cluster, overlay(CLAIM, {"metadata": {"name": "rows"}}))
    assert objects(ask(cluster, tmp_path, "helm4", values))


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_a_cluster_without_trainer_is_asked_for_none_of_its_kinds(
    cluster: Cluster, tmp_path: Path, helm: str
) -> None:
    del cluster.groups["trainer.kubeflow.org/v1alpha1"]
    assert "this cluster has no Kubeflow Trainer" in ask(cluster, tmp_path, helm, {}).stderr
    job = {"ordering": "hooks", "hooks": {"timeoutMinutes": 60}, "train": {"runAs": "job"}}
    assert "TrainJob" not in kinds(objects(ask(cluster, tmp_path, helm, job)))


def test_openshift_is_known_by_its_api(cluster: Cluster, tmp_path: Path) -> None:
    cluster.groups["security.openshift.io/v1"] = {"securitycontextconstraints": "SecurityContextConstraints"}
    for pod in stage_pods(objects(ask(cluster, tmp_path, "helm4", {}))).values():
        assert "fsGroup" not in pod.spec["securityContext"]


def refusal(cluster: Cluster, tmp_path: Path, values: Object) -> str:
    """Return helm's message for values that it rejects."""
    done = ask(cluster, tmp_path, "helm4", values)
    assert done.returncode != 0, done.stdout
    return done.stderr
