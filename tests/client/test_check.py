"""`osft check`, with a kubectl on PATH that answers what a real one answered."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.client.follow.test_command import Kubectl
from tests.client.local.support import OSFT, call
from tests.support.hub import GOOD_TOKEN, STRANGER_TOKEN, Hub, Repo

NODE = {
    "metadata": {"name": "gpus", "labels": {"zone": "a"}},
    "spec": {},
    "status": {"allocatable": {"cpu": "64", "memory": "263000000Ki", "nvidia.com/gpu": "4"}},
}
CLASS = {"metadata": {"name": "nfs", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
FORBIDDEN = 'Error from server (Forbidden): nodes is forbidden: User "x" cannot list resource "nodes"'
NOTHING_ASKED = {"HF_ENDPOINT": "http://127.0.0.1:9"}


def answer(*items: Any) -> tuple[int, str, str]:
    return 0, json.dumps({"kind": "List", "items": items}), ""


class Checked:
    """A cluster that has all that a run needs, unless a test changes it."""

    def __init__(self, folder: Path) -> None:
        self.kubectl = Kubectl(folder)
        version = {"major": "1", "minor": "36", "gitVersion": "v1.36.1"}
        self.kubectl.answers = {
            "get --raw": [(0, json.dumps(version), ""), (0, "{}", "")],
            "auth can-i": [(0, "yes\n", "")],
            "config view": [(0, "team", "")],
            "get nodes": [answer(NODE)],
            "get resourcequotas": [answer()],
            "get limitranges": [answer()],
            "get persistentvolumeclaims": [answer()],
            "get storageclasses": [answer(CLASS)],
        }

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        self.kubectl.write()
        path = f"{self.kubectl.folder}:{os.environ['PATH']}"
        given = ("--set", "data.uri=hf://org/rows,images.registry=registry.example.com", *words)
        return call(OSFT, "check", "run1", *given, **{"PATH": path, **NOTHING_ASKED, **env})


@pytest.fixture
def check(tmp_path: Path) -> Checked:
    return Checked(tmp_path)


def problems(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 2, done.stdout + done.stderr
    return [line.removeprefix("- ") for line in done.stderr.splitlines() if line.startswith("- ")]


def test_a_cluster_that_has_everything_has_no_problem(check: Checked) -> None:
    done = check()
    assert done.returncode == 0, done.stderr
    for what in ("values", "cluster", "Kubeflow Trainer", "rights", "nodes", "quotas", "volumes", "Secrets"):
        assert f"ok        {what}: " in done.stdout, what
    assert "not asked model.uri: the hub was not reached" in done.stdout


def test_all_problems_come_at_once(check: Checked) -> None:
    check.kubectl.answers |= {
        "get --raw": [
            (0, '{"major": "1", "minor": "29+", "gitVersion": "v1.29.4"}', ""),
            (1, "", "Error from server (NotFound): the server could not find the requested resource"),
        ],
        "auth can-i": [(1, "no\n", "")],
        "get storageclasses": [answer({"metadata": {"name": "nfs"}})],
        "get secret": [(1, "", 'Error from server (NotFound): secrets "hub" not found')],
    }
    said = problems(check("--set", "train.gpus=8,secrets.hf.existing=hub"))
    for words in (
        "this cluster runs Kubernetes v1.29.4; 1.31 or later",
        "this cluster has no Kubeflow Trainer",
        "you are not allowed to create jobs.batch, networkpolicies.networking.k8s.io, persistentvolumeclaims",
        "the pod of train asks for 8 of nvidia.com/gpu, of which the largest node has 4",
        "no storage class of this cluster is its default (seen: nfs)",
        "the Secret hub does not exist in namespace team",
    ):
        assert sum(words in line for line in said) == 1, (words, said)


def runtime(name: str, job: str = "node", policy: str = "torch") -> dict[str, Any]:
    containers = {"spec": {"containers": [{"name": "node"}]}}
    step = {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}
    jobs = [{"name": job, "template": {"metadata": step, "spec": {"template": containers}}}]
    spec = {"mlPolicy": {policy: {}}, "template": {"spec": {"replicatedJobs": jobs}}}
    return {"metadata": {"name": name}, "spec": spec}


def served(field: str) -> tuple[int, str, str]:
    """The schema of TrainJobs, as the API server gives it."""
    spec = {"properties": {"runtimeRef": {}, field: {"type": "array"}}}
    schemas = {"org.kubeflow.trainer.v1alpha1.TrainJob": {"properties": {"spec": spec}}}
    return 0, json.dumps({"components": {"schemas": schemas}}), ""


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [
        ("torch-distributed", "runtimePatches", []),
        (
            "torch",
            "podTemplateOverrides",
            [
                "ClusterTrainingRuntime torch does not exist. Usable here: torch-distributed. Correct",
                "train.runtimeRef.patches is runtimePatches, and the TrainJobs of this cluster have "
                "podTemplateOverrides. Set train.runtimeRef.patches to podTemplateOverrides.",
            ],
        ),
        ("mpi", "runtimePatches", ["mpi has no job that this chart can use: expected mlPolicy.torch"]),
        ("other-job", "runtimePatches", ["other-job has no job that this chart can use"]),
    ],
)
def test_an_installed_runtime_must_be_there_and_take_the_changes_of_its_pods(
    check: Checked, name: str, field: str, said: list[str]
) -> None:
    there = [runtime("torch-distributed"), runtime("mpi", policy="mpi"), runtime("other-job", job="launcher")]
    check.kubectl.answers["get clustertrainingruntimes.trainer.kubeflow.org"] = [answer(*there)]
    check.kubectl.answers["get --raw"].append(served(field))
    done = check("--set", f"ordering=hooks,hooks.timeoutMinutes=60,train.runtimeRef.name={name}")
    if not said:
        assert done.returncode == 0, done.stderr
        assert "ok        training runtime: ClusterTrainingRuntime torch-distributed" in done.stdout
    else:
        found = problems(done)
        assert len(found) == len(said)
        assert all(words in line for words, line in zip(said, found, strict=True)), found


def test_pods_on_an_installed_runtime_are_compared_with_nodes(check: Checked) -> None:
    check.kubectl.answers["get clustertrainingruntimes.trainer.kubeflow.org"] = [answer(runtime("mine"))]
    check.kubectl.answers["get --raw"].append(served("runtimePatches"))
    asked = "ordering=hooks,hooks.timeoutMinutes=60,train.runtimeRef.name=mine,train.gpus=8,eval.gpus=0"
    (only,) = problems(check("--set", asked))
    assert "the pod of train asks for 8 of nvidia.com/gpu, of which the largest node has 4" in only


def test_values_that_do_not_render_are_the_charts_own_sentences(check: Checked) -> None:
    done = check("--set", "data.uri=")
    assert done.returncode == 2
    assert "data.uri is empty" in done.stderr


def test_what_may_not_be_asked_is_named_and_does_not_count(check: Checked) -> None:
    check.kubectl.answers["get nodes"] = [(1, "", FORBIDDEN)]
    done = check()
    assert done.returncode == 0
    assert "not asked nodes: you are not allowed to read this (nodes is forbidden" in done.stdout


def test_without_a_cluster_the_values_are_checked(check: Checked) -> None:
    refused = "The connection to the server localhost:8080 was refused - did you specify the right host?"
    check.kubectl.answers["get --raw"] = [(1, "", refused)]
    done = check()
    assert done.returncode == 0
    assert "ok        values" in done.stdout
    assert "not asked cluster: kubectl has no cluster configured" in done.stdout


def test_an_autoscaler_adds_the_nodes_that_are_missing(check: Checked) -> None:
    assert check("--set", "train.gpus=8").returncode == 2
    check.kubectl.answers["get --raw"] = Checked(check.kubectl.folder).kubectl.answers["get --raw"]
    assert check("--set", "train.gpus=8", "--autoscaler").returncode == 0


def test_a_selector_a_taint_and_a_sum_that_no_node_meets_are_named(check: Checked) -> None:
    assert any(
        'eval.pod.nodeSelector asks for {"zone": "b"}, and none of 1 nodes has that' in line
        for line in problems(check("--set", "eval.pod.nodeSelector.zone=b"))
    )


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_a_tainted_node_counts_where_its_taint_is_tolerated(
    check: Checked, toleration: dict[str, str], fits: bool
) -> None:
    tainted = {**NODE, "spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}}
    check.kubectl.answers["get nodes"] = [answer(tainted)]
    done = check("--set-json", f"stageDefaults.tolerations=[{json.dumps(toleration)}]")
    assert done.returncode == (0 if fits else 2), done.stdout + done.stderr
    if not fits:
        assert any(
            "has a taint that it does not tolerate (gpu=yes:NoSchedule)" in line for line in problems(done)
        )


def test_what_no_single_node_has_together_is_named(check: Checked) -> None:
    few = {**NODE, "status": {"allocatable": {"cpu": "2", "nvidia.com/gpu": "4", "memory": "900Gi"}}}
    many = {**NODE, "status": {"allocatable": {"cpu": "64", "memory": "900Gi"}}}
    check.kubectl.answers["get nodes"] = [answer(few, many)]
    assert any("together, which no single node has" in line for line in problems(check()))


def test_quotas_count_for_all_nodes_and_for_what_a_pod_leaves_out(check: Checked) -> None:
    hard = {"requests.nvidia.com/gpu": "1", "limits.memory": "64Gi", "limits.cpu": "8"}
    quota = {"metadata": {"name": "small"}, "spec": {"hard": hard}}
    check.kubectl.answers["get resourcequotas"] = [answer(quota)]
    two = ("--set", "train.nodes=2,workspace.accessModes={ReadWriteMany}")
    said = problems(check(*two))
    asked = "train asks for 1 of requests.nvidia.com/gpu on each of 2 nodes, and the quota small"
    assert any(asked in line for line in said)
    assert any("counts limits.cpu, and the pod of preflight sets none" in line for line in said)


def test_a_claim_that_is_there_needs_no_storage_class(check: Checked) -> None:
    check.kubectl.answers["get storageclasses"] = [answer()]
    assert check().returncode == 2
    check.kubectl.answers |= Checked(check.kubectl.folder).kubectl.answers
    check.kubectl.answers["get storageclasses"] = [answer()]
    check.kubectl.answers["get persistentvolumeclaims"] = [answer({"metadata": {"name": "run1-workspace"}})]
    assert check().returncode == 0


def test_a_claim_that_is_not_made_must_exist(check: Checked) -> None:
    said = problems(check("--set", "workspace.existingClaim=mine"))
    assert any("the PersistentVolumeClaim mine does not exist in namespace team" in line for line in said)


def test_keys_of_secrets_are_looked_up_and_values_never_read(check: Checked) -> None:
    check.kubectl.answers["get secret"] = [(0, "OTHER\n", "")]
    said = problems(check("--set", "secrets.hf.existing=hub"))
    assert any("the Secret hub has no key HF_TOKEN" in line for line in said)
    (asked,) = [call for call in check.kubectl.calls() if call[:2] == ["get", "secret"]]
    assert "$value" not in asked[3].partition("}}")[2]


@pytest.mark.parametrize(
    ("repo", "token", "said"),
    [
        (Repo({}), "", ""),
        (Repo({}, gated=True), GOOD_TOKEN, ""),
        (Repo({}, private=True), GOOD_TOKEN, ""),
        (Repo({}, gated=True), STRANGER_TOKEN, "the hub denies this account the dataset org/rows (HTTP 403)"),
        (Repo({}, gated=True), "", "is not on the hub, or it is private or gated, and HF_TOKEN is not set"),
        (Repo({}, private=True), STRANGER_TOKEN, "is not on the hub, and HF_TOKEN cannot see it (HTTP 404)"),
        (None, GOOD_TOKEN, "data.uri: the dataset org/rows is not on the hub"),
    ],
    ids=["public", "gated", "private", "gated stranger", "gated no token", "private stranger", "missing"],
)
def test_datasets_and_models_of_the_hub_are_looked_up(
    check: Checked, repo: Repo | None, token: str, said: str
) -> None:
    hub = Hub()
    hub.repos = {"models/org/base": Repo({})} | ({"datasets/org/rows": repo} if repo else {})
    try:
        done = check("--set", "model.uri=hf://org/base@main", HF_ENDPOINT=hub.url, HF_TOKEN=token)
    finally:
        hub.close()
    assert "ok        model.uri: model org/base is on the hub" in done.stdout
    assert done.returncode == (2 if said else 0), done.stdout + done.stderr
    if said:
        assert any(said in line for line in problems(done)), done.stderr
    assert not token or token not in done.stdout + done.stderr


def test_a_run_with_a_problem_is_not_started(check: Checked) -> None:
    check.kubectl.write()
    path = f"{check.kubectl.folder}:{os.environ['PATH']}"
    values = "train.gpus=8,images.registry=registry.example.com"
    words = ("run", "run1", "--data", "hf://org/rows", "--set", values, "-n", "team")
    done = call(OSFT, *words, **{"PATH": path, "KUBECONFIG": "/nowhere", **NOTHING_ASKED})
    assert any("asks for 8 of nvidia.com/gpu" in line for line in problems(done))
    assert "--no-check" in done.stderr
    assert "helm" not in done.stdout
    started = call(OSFT, *words, "--no-check", **{"PATH": path, "KUBECONFIG": "/nowhere", **NOTHING_ASKED})
    assert started.returncode == 2 and "asks for 8" not in started.stderr
    assert "kubernetes cluster unreachable" in started.stderr.lower(), started.stderr


def test_misspelt_values_come_with_similar_names_and_all_other_problems(check: Checked) -> None:
    wrong = "train.epoch=3,train.learning_rate=1,trian.x=1,limit=4,eval.gpus=-1,data.urii=hf://a/b"
    said = problems(check("--set", f"{wrong},data.uri=,workspace.existingClaim=,images.registry="))
    assert {line for line in said if "is not a value of the chart" in line} == {
        "train.epoch is not a value of the chart. Did you mean train.epochs?",
        "train.learning_rate is not a value of the chart. Did you mean train.learningRate?",
        "data.urii is not a value of the chart. Did you mean data.uri?",
        "trian is not a value of the chart. Did you mean train?",
        "limit is not a value of the chart. Did you mean eval.limit or eval.holdout.limit?",
    }
    assert any(line.startswith("eval.gpus: ") for line in said)
    assert any(line.startswith("images.registry is empty") for line in said)
    assert not any("data.uri is empty" in line for line in said), "it follows from data.urii"


def test_a_run_on_this_machine_is_checked_with_the_words_of_osft_run(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("")
    words = ["--data", str(tmp_path / "rows.jsonl"), "--model", str(tmp_path), "--local"]
    done = call(OSFT, "check", "mine", *words, "--set", "train.gpus=0,eval.gpus=0", **NOTHING_ASKED)
    assert done.returncode == 0, done.stderr
    assert "ok        values: they render\nok        this machine: " in done.stdout
    wrong = call(OSFT, "check", "mine", *words, "--claim", f"x={tmp_path}", "--set", "train.gpus=99")
    assert wrong.returncode == 2
    assert "stage train asks for 99 nvidia.com/gpu" in wrong.stderr and "--claim x=" in wrong.stderr
    for more in (["--claim=a=b"], ["--data", str(tmp_path)]):
        refused = call(OSFT, "check", "mine", *more)
        assert refused.returncode == 2 and "--local" in refused.stderr
