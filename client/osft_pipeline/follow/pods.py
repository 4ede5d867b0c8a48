"""Pods from their objects: what they do, why they wait, how they ended."""

import re
from typing import Any

from osft_pipeline.follow.lines import parse
from osft_pipeline.follow.model import USER, Pod, when
from osft_pipeline.kubectl import Json
from osft_pipeline.terminal import plain, plain_lines

DOWNLOAD = "download"
PREFLIGHT = ("preflight", "eval-check")
"""Containers of preflight's pod, which check different things at the same time."""
KILLED = (137, 143)  # SIGKILL, SIGTERM
RANK = "batch.kubernetes.io/job-completion-index"
# Reasons of the kubelet for a pod that is about to start.
STARTING = ("ContainerCreating", "PodInitializing")


def view(thing: Json) -> Pod:
    """Return a pod from its object."""
    meta, status = thing["metadata"], thing.get("status", {})
    container = speaking(status)
    ended = container.get("state", {}).get("terminated") or {}
    pod = Pod(
        name=meta["name"],
        rank=rank(meta),
        state=state(thing, container, ended),
        node=thing.get("spec", {}).get("nodeName", ""),
        created=when(meta["creationTimestamp"]),
        started=when(started(container) or status.get("startTime")),
        finished=when(ended.get("finishedAt")),
        exit_code=ended.get("exitCode"),
        container=container["name"] if container in named_containers(status) else "",
        lost=condition(thing, "DisruptionTarget") is not None,
    )
    pod.reason, message = why(thing, container, ended)
    messages = [message, *also_failed(status, container)]
    pod.message = " ".join(filter(None, (sentence(pod, plain_lines(text).strip()) for text in messages)))
    return pod


def sentence(pod: Pod, message: str) -> str:
    """Return a pod's message. If it left none, the kubelet gives the end of its log."""
    lines = message.splitlines() or [""]
    a_list = len(lines) > 1 and lines[1].startswith("- ")  # preflight's
    if pod.state != "failed" or a_list:
        return message
    if lines[-1] and not parse(lines[-1]):
        return lines[-1].removeprefix("Error: ").strip()
    if pod.reason == "OOMKilled":
        return "it ran out of memory, and the kernel killed it."
    return "it was killed and left no message." if pod.exit_code in KILLED else ""


def rank(meta: Json) -> int:
    """Return a pod's number among the nodes of its stage."""
    found = meta.get("annotations", {}).get(RANK) or meta.get("labels", {}).get(RANK)
    return int(found or 0)


def speaking(status: Json) -> Json:
    """Return the status of the current container: the download until it is done, then the stage.

    Of preflight's two, one that failed speaks first, then one that is not done.
    """
    before, own = (status.get(kind) or [] for kind in ("initContainerStatuses", "containerStatuses"))
    # By name: a mesh's sidecar is an init container, too, and one that never ends.
    download = [item for item in before if item["name"] == DOWNLOAD]
    at_it = [item for item in download if item.get("state", {}).get("terminated", {}).get("exitCode") != 0]
    return next(iter([*at_it, *sorted(preflight_of(status), key=turn), *own]), {})


def preflight_of(status: Json) -> list[Json]:
    """Return the statuses of preflight's containers if it has two."""
    found = [item for item in status.get("containerStatuses") or [] if item["name"] in PREFLIGHT]
    return found if len(found) == len(PREFLIGHT) else []


def turn(container: Json) -> tuple[int, int]:
    """Return the order in which preflight's containers are shown: what the user must fix first."""
    code = container.get("state", {}).get("terminated", {}).get("exitCode")
    rank = 2 if code is None else 3 if code == 0 else 0 if code == USER else 1
    return rank, PREFLIGHT.index(container["name"])


def also_failed(status: Json, speaker: Json) -> list[str]:
    """Return the message of preflight's other container if both failed."""
    ends = [
        item.get("state", {}).get("terminated", {}) for item in preflight_of(status) if item is not speaker
    ]
    failed = speaker.get("state", {}).get("terminated", {}).get("exitCode", 0) != 0
    return [str(end.get("message", "")) for end in ends if failed and end.get("exitCode", 0) != 0]


def named_containers(status: Json) -> list[Json]:
    """Return the statuses of containers whose logs are only found by their name."""
    return [*(status.get("initContainerStatuses") or []), *preflight_of(status)]


def state(thing: Json, container: Json, ended: Json) -> Any:
    """Return what a pod does, in one word."""
    phase = thing.get("status", {}).get("phase", "Pending")
    if phase == "Succeeded" or ended.get("exitCode") == 0:
        return "done"
    if phase == "Failed" or ended:
        return "failed"
    if thing["metadata"].get("deletionTimestamp"):
        return "ending"
    # Kubernetes calls a pod pending while an init container runs.
    return "running" if phase == "Running" or container.get("state", {}).get("running") else "pending"


def started(container: Json) -> str | None:
    """Return when a container's program began."""
    now = container.get("state", {})
    for key in ("running", "terminated"):
        if now.get(key, {}).get("startedAt"):
            return str(now[key]["startedAt"])
    return None


def why(thing: Json, container: Json, ended: Json) -> tuple[str, str]:
    """Return reason and message of a pod that waits or has ended."""
    status = thing.get("status", {})
    if ended:
        return last_words(ended, thing)
    waiting = container.get("state", {}).get("waiting") or {}
    if waiting:
        return waiting_reason(str(waiting.get("reason", "")), str(waiting.get("message", "")))
    for kind in ("PodScheduled", "DisruptionTarget"):
        found = condition(thing, kind, "False" if kind == "PodScheduled" else "True")
        if found:
            return str(found.get("reason", "")), str(found.get("message", ""))
    return str(status.get("reason", "")), str(status.get("message", ""))


def waiting_reason(reason: str, message: str) -> tuple[str, str]:
    """Return the kubelet's reason; a failed pull has two, which alternate."""
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        return "ImagePullBackOff", re.sub(r"^.*(ErrImagePull: |desc = )", "", message)
    return reason, message


def last_words(ended: Json, thing: Json) -> tuple[str, str]:
    """Return why a container ended: the stage's own message, or what the cluster did to it."""
    reason, message = str(ended.get("reason", "")), str(ended.get("message", "")).strip()
    disruption = condition(thing, "DisruptionTarget")
    if disruption:
        return str(disruption.get("reason", "")), str(disruption.get("message", ""))
    if thing.get("status", {}).get("reason"):  # Evicted, DeadlineExceeded, NodeLost
        return str(thing["status"]["reason"]), str(thing["status"].get("message", "")) or message
    return ("" if reason in ("Completed", "Error") else reason), message


def condition(thing: Json, kind: str, status: str = "True") -> Json | None:
    """Return a condition of an object, or None."""
    found = thing.get("status", {}).get("conditions") or []
    return next((item for item in found if item["type"] == kind and item["status"] == status), None)


def waiting_words(pod: Pod, hindrance: str) -> tuple[str, str]:
    """Return why a pod does not run yet, from its events if its status has no reason."""
    if pod.reason in ("", *STARTING) and hindrance:
        reason, _, message = hindrance.partition(": ")
        return reason, plain(message)
    # The scheduler adds how it could make room, which does not help a user.
    return pod.reason or "Starting", re.sub(
        r" *(no new claims to deallocate,)? *preemption: .*", "", pod.message
    )
