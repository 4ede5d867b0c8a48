"""The pod that opens a run's workspace, made from what the release itself renders for its stages."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from osft_pipeline.kubectl import Json
from osft_workspace import UserError

PREFERRED = ("register", "download", "eval", "train")
"""Stages whose image and security context a pod that reads takes: the smallest image first."""
DOWNLOAD = ["osft-download"]
COMPONENT = "app.kubernetes.io/component"
RUN = "osft-pipeline/run"
# A pod with a Job's labels would be counted as one of its own.
CONTROLLED = ("k8s.io/", "batch.kubernetes.io/", "trainer.kubeflow.org/", "controller-uid", "job-name")
KEPT_RESOURCES = ("cpu", "memory", "ephemeral-storage")
LONGEST_SECONDS = 6 * 3600
IDLE_CHECKS = 30
# It ends by itself when nothing was run in it for five minutes: a client that was killed deletes nothing.
# While a file is read, /proc has the process that reads it besides this shell.
WAIT = f"""\
idle=0
while [ $idle -lt {IDLE_CHECKS} ]; do
  sleep 10
  set -- /proc/[0-9]*
  if [ $# -gt 1 ]; then idle=0; else idle=$((idle + 1)); fi
done"""


def templates(things: Iterable[Json]) -> Iterator[Json]:
    """Yield the pod template of every stage in TrainingRuntimes and Jobs."""
    for thing in things:
        if thing["kind"] == "TrainingRuntime":
            for job in thing["spec"]["template"]["spec"]["replicatedJobs"]:
                yield job["template"]["spec"]["template"]
        elif thing["kind"] == "Job":
            yield thing["spec"]["template"]


def choose(things: Iterable[Json]) -> Json | None:
    """Return the template of the stage that a pod that reads is made from; None where there is none."""
    by_stage = {str(labels(template).get(COMPONENT)): template for template in templates(things)}
    return next((by_stage[stage] for stage in PREFERRED if stage in by_stage), None)


def with_ops(things: Iterable[Json]) -> Json | None:
    """Return the last template whose pod runs the image of the download stage, the one that has `osft-ops`.

    The download is its only container. None where no pod of the release downloads.
    """
    found = [
        template | {"spec": template["spec"] | {"containers": [container]}}
        for template in templates(things)
        for container in (*template["spec"]["containers"], *template["spec"].get("initContainers", []))
        if container.get("command") == DOWNLOAD
    ]
    return found[-1] if found else None


def labels(thing: Json) -> Json:
    """Return the labels of an object or a template."""
    found: Json = thing.get("metadata", {}).get("labels") or {}
    return found


def workspace_mount(template: Json) -> Json:
    """Return the mount of the workspace in a stage's container. Raises UserError where it has none."""
    container = template["spec"]["containers"][0]
    where = next((item.get("value") for item in container["env"] if item["name"] == "OSFT_WORKSPACE"), "")
    for mount in container.get("volumeMounts") or []:
        if mount["mountPath"] == where:
            return dict(mount)
    raise UserError(
        "the release's pods mount no workspace, expected a volume at the path in OSFT_WORKSPACE. "
        "Was the release installed by another version of this chart?"
    )


def workspace_volume(template: Json) -> Json:
    """Return the volume of the workspace. Raises UserError where the stage has none."""
    name = workspace_mount(template)["name"]
    found: Json = next(volume for volume in template["spec"]["volumes"] if volume["name"] == name)
    return found


def claim_name(template: Json) -> str:
    """Return the name of the claim that holds the workspace. Raises UserError where the stage has none."""
    return str(workspace_volume(template)["persistentVolumeClaim"]["claimName"])


def manifest(name: str, template: Json, node: str, use: str, writable: bool) -> Json:
    """Return the pod as an object.

    Args:
        node: the only node it may run on; empty: any.
        use: name of the container and the component.
    """
    spec: dict[str, Any] = copy.deepcopy(template["spec"])
    own = spec["containers"][0]
    spec.pop("initContainers", None)
    container = {key: own[key] for key in ("image", "imagePullPolicy", "securityContext") if key in own}
    container |= {
        "name": use,
        "command": ["sh", "-c", WAIT],
        "resources": without_devices(own.get("resources") or {}),
        "volumeMounts": [workspace_mount(template) | {"readOnly": not writable}],
    }
    spec |= {
        "containers": [container],
        "volumes": [workspace_volume(template)],
        "activeDeadlineSeconds": LONGEST_SECONDS,
        "terminationGracePeriodSeconds": 1,
        "restartPolicy": "Never",
    }
    if node:
        spec["affinity"] = on_node(node)
    kept = {key: value for key, value in labels(template).items() if not is_controlled(key)}
    annotations = template.get("metadata", {}).get("annotations") or {}
    metadata = {"name": name, "labels": kept | {COMPONENT: use}, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def is_controlled(key: str) -> bool:
    """Return whether a label is a controller's."""
    return key.startswith(CONTROLLED) or any(f".{name}" in key for name in CONTROLLED[:1])


def without_devices(resources: Json) -> Json:
    """Return requests and limits without GPUs and the like: reading files needs none."""
    return {
        part: {name: amount for name, amount in amounts.items() if name in KEPT_RESOURCES}
        for part, amounts in resources.items()
        if part in ("requests", "limits")
    }


def on_node(name: str) -> Json:
    """Return the affinity to one node."""
    field = {"key": "metadata.name", "operator": "In", "values": [name]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def node_in_use(claim: Json, pods: Sequence[Json]) -> str:
    """Return the node on which a claim that only one node can mount is in use; otherwise nothing."""
    name = claim["metadata"]["name"]
    if {"ReadWriteMany", "ReadOnlyMany"} & set(claim["spec"].get("accessModes") or []):
        return ""
    for pod in pods:
        volumes = pod["spec"].get("volumes") or []
        mounts = any(one.get("persistentVolumeClaim", {}).get("claimName") == name for one in volumes)
        if mounts and pod["spec"].get("nodeName") and pod["status"].get("phase") in ("Pending", "Running"):
            return str(pod["spec"]["nodeName"])
    return ""
