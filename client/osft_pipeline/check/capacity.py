"""Whether nodes, quotas and storage classes leave room for the pods and the volume."""

import json
from collections.abc import Sequence
from typing import Any

from osft_pipeline.chart import Object
from osft_pipeline.check.pods import Asked
from osft_pipeline.check.quantity import amount

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
COUNTED = tuple(f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in ("cpu", "memory"))


def node_problems(pod: Asked, nodes: Sequence[Object]) -> list[str]:
    """Return why a pod fits on no node; nothing where one takes it or no node is there yet."""
    selector = pod.spec.get("nodeSelector") or {}
    matching = [node for node in nodes if selects(selector, node)]
    if not matching:
        return [
            f"{pod.section}.pod.nodeSelector asks for {json.dumps(selector)}, and none of {len(nodes)} nodes "
            "has that. Correct it, or add such a node (with an autoscaler: --autoscaler)."
        ]
    open_nodes = [node for node in matching if tolerates(pod.spec.get("tolerations") or [], node)]
    if not open_nodes:
        taints = sorted({taint_text(taint) for node in matching for taint in hard_taints(node)})
        return [
            f"every node for the pod of {pod.stage} has a taint that it does not tolerate "
            f"({', '.join(taints)}). Add it to {pod.section}.pod.tolerations."
        ]
    asked = {name: value for name, value in pod.amounts("requests").items() if amount(value)}
    if any(all(amount(value) <= has(node, name) for name, value in asked.items()) for node in open_nodes):
        return []
    return [
        f"the pod of {pod.stage} asks for {short_of(asked, open_nodes)}: no node could ever run it. "
        f"{lower(pod)}, or add such a node (with an autoscaler: --autoscaler)."
    ]


def short_of(asked: dict[str, str], nodes: Sequence[Object]) -> str:
    """Return what is asked for beyond the largest node, in words."""
    short = []
    for name, value in asked.items():
        largest = max(nodes, key=lambda node: has(node, name))
        if amount(value) > has(largest, name):
            there = (largest["status"].get("allocatable") or {}).get(name) or "none"
            short.append(f"{value} of {name}, of which the largest node has {there}")
    return "; and for ".join(short) or f"{json.dumps(asked)} together, which no single node has"


def lower(pod: Asked) -> str:
    """Return what to lower."""
    gpus = any("/" in name for name in pod.amounts("limits"))
    also = f" or {pod.section}.gpus, or correct stageDefaults.gpuResource" if gpus else ""
    return f"Lower {pod.section}.pod.resources{also}"


def has(node: Object, name: str) -> float:
    """Return how much of a resource pods may take on a node."""
    return amount((node.get("status", {}).get("allocatable") or {}).get(name, 0))


def selects(selector: dict[str, Any], node: Object) -> bool:
    """Return whether a node has all labels of a selector."""
    labels = node["metadata"].get("labels") or {}
    return all(labels.get(key) == str(value) for key, value in selector.items())


def hard_taints(node: Object) -> list[Object]:
    """Return the taints that keep pods away, cordoned included."""
    taints: list[Object] = node.get("spec", {}).get("taints") or []
    return [taint for taint in taints if taint["effect"] != "PreferNoSchedule"]


def taint_text(taint: Object) -> str:
    """Return a taint as kubectl writes it."""
    return f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"


def tolerates(tolerations: Sequence[Object], node: Object) -> bool:
    """Return whether a pod tolerates every hard taint of a node."""
    return all(any(tolerated(toleration, taint) for toleration in tolerations) for taint in hard_taints(node))


def tolerated(toleration: Object, taint: Object) -> bool:
    """Return whether one toleration covers a taint, by Kubernetes' own rule."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or str(toleration.get("value", "")) == taint.get(
        "value", ""
    )


def quota_problems(
    pod: Asked, namespace: str, quotas: Sequence[Object], ranges: Sequence[Object]
) -> list[str]:
    """Return what quotas of the namespace never allow. What others use of them now may come free."""
    requests, limits = pod.amounts("requests"), pod.amounts("limits")
    asks = {**requests, **{f"requests.{name}": value for name, value in requests.items()}}
    asks |= {f"limits.{name}": value for name, value in limits.items()}
    found = []
    for quota in quotas:
        spec, name = quota["spec"], quota["metadata"]["name"]
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        for resource, hard in (spec.get("hard") or {}).items():
            asked = asks.get(resource)
            if asked and pod.count * amount(asked) > amount(hard):
                each = f" on each of {pod.count} nodes" if pod.count > 1 else ""
                found.append(
                    f"{pod.stage} asks for {asked} of {resource}{each}, and the quota {name} of namespace "
                    f"{namespace} allows {hard} in all: its pods would never be created. {lower(pod)}, or "
                    "have the quota raised."
                )
            elif not asked and not ranges and resource in COUNTED:
                found.append(
                    f"the quota {name} of namespace {namespace} counts {resource}, and the pod of "
                    f"{pod.stage} sets none: Kubernetes would reject it. Set it in "
                    f"{pod.section}.pod.resources, or for all stages in stageDefaults.resources."
                )
    return found


def storage_problems(claim: Object, classes: Sequence[Object]) -> list[str]:
    """Return why no volume would be made for a claim."""
    wanted = claim["spec"].get("storageClassName")
    names = sorted(one["metadata"]["name"] for one in classes)
    there = ", ".join(names) or "none"
    if wanted == "":
        return []  # a volume created by hand
    if wanted and wanted not in names:
        return [
            f"workspace.storageClass is {wanted}, and the storage classes of this cluster are: {there}. Name "
            "one of them, or a claim in workspace.existingClaim."
        ]
    defaults = [
        one for one in classes if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
    ]
    if not (wanted or defaults):
        return [
            "workspace.storageClass is empty, and no storage class of this cluster is its default (seen: "
            f"{there}). Name one, or a claim in workspace.existingClaim."
        ]
    return []
