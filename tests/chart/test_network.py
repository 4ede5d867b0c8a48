"""NetworkPolicies: nothing reaches the pods of a release, and they reach only what their stage needs."""

import itertools
from typing import Any

import pytest

from tests.chart.rendering import (
    COMPONENT,
    HOOKS,
    RUN,
    Object,
    hook,
    overlay,
    pods,
    refusal,
    render,
    run_id,
    stage_pods,
    weight,
)

DNS = {(protocol, port) for protocol in ("UDP", "TCP") for port in (53, 5353)}
WEB = {("TCP", 443), ("TCP", 80)}
API = {("TCP", 443), ("TCP", 6443)}
REGISTRY: Object = {"register": {"address": "model-registry-service.kubeflow.svc:8080"}}
LOCAL: Object = {"data": {"uri": "pvc://rows/a.jsonl"}, "model": {"uri": "/workspace/model"}}
Peer = tuple[tuple[str, str], ...]


def policies(values: Object) -> dict[str, Object]:
    """Return policies by their component."""
    found = [thing for thing in render(values) if thing["kind"] == "NetworkPolicy"]
    return {thing["metadata"]["labels"][COMPONENT]: thing for thing in found}


def selects(policy: Object, labels: dict[str, str]) -> bool:
    """Return whether a policy selects a pod."""
    return set(policy["spec"]["podSelector"]["matchLabels"].items()) <= set(labels.items())


def reach(values: Object, stage: str) -> tuple[set[tuple[str, int]], set[str]]:
    """Return what the pod of a stage may reach: ports anywhere, and namespaces with all ports."""
    labels = stage_pods(render(values))[stage].labels
    rules = [rule for policy in policies(values).values() if selects(policy, labels)
             for rule in policy["spec"]["egress"]]  # fmt: skip
    ports = {(port["protocol"], port["port"]) for rule in rules if "to" not in rule for port in rule["ports"]}
    peers = [peer for rule in rules for peer in rule.get("to", [])]
    names = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in peers
        if "namespaceSelector" in peer
    }
    return ports, names


@pytest.mark.parametrize("ordering", [{}, HOOKS, overlay(HOOKS, {"train": {"runAs": "job"}})])
def test_every_pod_is_denied_all_traffic_by_default(ordering: Object) -> None:
    values = overlay(ordering, REGISTRY)
    found = policies(values)
    deny = found["deny"]["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"] and deny["ingress"] == deny["egress"] == []
    for pod in pods(render(values)):
        assert selects(found["deny"], pod.labels), pod.stage
    for policy in found.values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["ingress"] == []


def test_pods_of_other_releases_and_charts_are_left_alone() -> None:
    for policy in policies({}).values():
        labels = policy["spec"]["podSelector"]["matchLabels"]
        assert labels["app.kubernetes.io/instance"] == "run1"
        assert labels["app.kubernetes.io/name"] == "osft-pipeline"


CASES: list[tuple[str, Object, str, set[Any], set[str]]] = [
    ("the hub", {}, "download", DNS | WEB, set()),
    ("a hub of our own", {"stageDefaults": {"env": {"HF_ENDPOINT": "http://hub.models.svc:8090"}}},
     "download", DNS | WEB | {("TCP", 8090)}, {"models"}),
    ("a hub in this namespace", {"data": {"pod": {"env": {"HF_ENDPOINT": "http://hub:8090"}}}},
     "download", DNS | WEB | {("TCP", 8090)}, {"team"}),
    ("S3 on its own port", {**LOCAL, "data": {"uri": "s3://b/k", "s3": {"endpoint": "https://minio.io:9000"}}},
     "download", DNS | WEB | {("TCP", 9000)}, set()),
    ("a proxy", {"data": {"pod": {"env": {"HTTPS_PROXY": "proxy.example.com:3128"}}}},
     "download", DNS | WEB | {("TCP", 3128)}, set()),
    ("an address from a secret", {**LOCAL, "data": {"pod": {"env": {"OSFT_DATA_URI": {"valueFrom": {
        "secretKeyRef": {"name": "rows", "key": "uri"}}}}}, "uri": ""}}, "download", DNS | WEB, set()),
    ("held-out rows elsewhere", {**LOCAL, "data": {**LOCAL["data"], "evalUri": "http://h.example.com:81/x"}},
     "download", DNS | WEB | {("TCP", 81)}, set()),
    ("claims only", LOCAL, "download", set(), set()),
    ("IPv6", {**LOCAL, "data": {"uri": "http://[2001:db8::1]:8081/rows.jsonl"}},
     "download", DNS | WEB | {("TCP", 8081)}, set()),
    ("training", {}, "train", DNS, set()),
    ("Weights & Biases", {"train": {"tracking": {"wandb": {"project": "p"}}}},
     "train", DNS | {("TCP", 443)}, set()),
    ("MLflow", {"train": {"tracking": {"mlflow": {"uri": "http://mlflow.ml.svc.cluster.local:5000"}}}},
     "train", DNS | {("TCP", 443), ("TCP", 5000)}, {"ml"}),
    ("its figures in Weights & Biases", {"train": {"tracking": {"wandb": {"project": "p"}}}},
     "eval", DNS | {("TCP", 443)}, set()),
    ("its figures in MLflow",
     {"train": {"tracking": {"mlflow": {"uri": "http://mlflow.ml.svc.cluster.local:5000"}}}},
     "eval", DNS | {("TCP", 5000)}, {"ml"}),
    ("checkpoints in S3", {"train": {"checkpoints": {"storage": "s3://b/k"}}}, "train", DNS | WEB, set()),
    ("download in training", {"data": {"runAs": "initContainer"}}, "train", DNS | WEB, set()),
    ("evaluation", {"stageDefaults": {"env": {"HF_ENDPOINT": "http://hub:8090"}}}, "eval", set(), set()),
    ("a server that answers", {"eval": {"backend": "openai", "baseUrl": "http://vllm.serving.svc:8000/v1"}},
     "eval", DNS | {("TCP", 8000)}, {"serving"}),
    ("benchmarks", {"eval": {"downloadBenchmarks": True}}, "eval", set(), set()),
    ("their download", overlay(LOCAL, {"eval": {"downloadBenchmarks": True}}), "download", DNS | WEB, set()),
    ("no registry", {}, "register", set(), set()),
    ("a registry", REGISTRY, "register", DNS | {("TCP", 8080)}, {"kubeflow"}),
    ("a registry by https", {"register": {"address": "https://registry.example.com"}},
     "register", DNS | {("TCP", 443)}, set()),
    ("a registry without a port", {"register": {"address": "registry", "port": 8081}},
     "register", DNS | {("TCP", 8081)}, {"team"}),
    ("preflight", REGISTRY, "preflight", DNS | WEB | {("TCP", 8080)}, {"kubeflow"}),
    ("preflight that asks nobody", overlay(REGISTRY, {"preflight": {"addresses": False}}), "preflight",
     set(), set()),
    ("helm test", REGISTRY, "verify", set(), set()),
    ("clean-up", {}, "cleanup", API, set()),
    ("the waiter", HOOKS, "wait", API, set()),
    ("another API server", {"networkPolicy": {"apiServerPorts": [16443]}},
     "cleanup", {("TCP", 16443)}, set()),
    ("another DNS", overlay(REGISTRY, {"networkPolicy": {"dnsPorts": [1053]}}), "register",
     {("TCP", 1053), ("UDP", 1053), ("TCP", 8080)}, {"kubeflow"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "stage", "ports", "names"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_stage_reaches_what_it_needs_and_nothing_else(
    values: Object, stage: str, ports: set[Any], names: set[str]
) -> None:
    assert reach(values, stage) == (ports, names)


def test_nodes_of_one_training_reach_each_other() -> None:
    many = {"train": {"nodes": 2}, "workspace": {"accessModes": ["ReadWriteMany"]}}
    spec = policies(many)["train"]["spec"]
    labels = {"app.kubernetes.io/name": "osft-pipeline", "app.kubernetes.io/instance": "run1"}
    peer = {"podSelector": {"matchLabels": {**labels, COMPONENT: "train", RUN: run_id(render(many))}}}
    assert spec["ingress"] == [{"from": [peer]}]
    assert {"to": [peer]} in spec["egress"]
    assert peer["podSelector"]["matchLabels"].items() <= stage_pods(render(many))["train"].labels.items()
    assert reach(many, "train") == (DNS, set())


def test_further_egress_is_allowed_to_every_pod() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.1.2.0/24"}}], "ports": [{"protocol": "TCP", "port": 9000}]}
    values = {"networkPolicy": {"extraEgress": [rule]}}
    assert policies(values)["deny"]["spec"]["egress"] == [rule]
    assert rule in policies(values)["preflight"]["spec"]["egress"]


@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
def test_preflight_has_its_policy_before_it_and_every_upgrade_creates_it_again(ordering: Object) -> None:
    found = policies(ordering)
    own = found.pop("preflight")
    job = stage_pods(render(ordering))["preflight"].owner
    assert hook(own) == hook(job) == "pre-install,pre-upgrade" and weight(own) < weight(job)
    policy = own["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert policy == "before-hook-creation,hook-succeeded"
    # Helm makes ordinary objects before all other pods, and removes them after the clean-up.
    assert not [thing for thing in found.values() if hook(thing)]


def test_policies_are_switched_off_with_the_rights_that_they_need() -> None:
    for ordering in ({}, HOOKS):
        values = overlay(ordering, {"networkPolicy": {"enabled": False}})
        assert not policies(values)
        assert "networkpolic" not in str(render(values))


def test_a_port_that_no_server_has_is_refused() -> None:
    for values in (
        {"register": {"address": "http://registry:70000"}},
        {"train": {"tracking": {"mlflow": {"uri": "http://mlflow:70000"}}}},
    ):
        assert "the port 70000; the largest port is 65535" in refusal(values)


def test_policies_stay_whole_whatever_an_address_holds() -> None:
    texts = (
        'http://a"b:80/',
        "http://a'b/",
        "http://{{a}}:1/",
        "http://a.svc.b:80/",
        "[]",
    )
    for text, helm in zip(texts, itertools.cycle(("helm3", "helm4"))):
        found = [
            thing for thing in render({"train": {"tracking": {"mlflow": {"uri": text}}}}, helm=helm)
            if thing["kind"] == "NetworkPolicy"
        ]  # fmt: skip
        assert all(
            set(thing["spec"]) == {"podSelector", "policyTypes", "ingress", "egress"} for thing in found
        )
