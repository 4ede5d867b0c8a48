"""The state of one stage from its Job and its pods."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from osft_pipeline.follow.curve import Losses
from osft_pipeline.follow.lines import newest, said_already_done
from osft_pipeline.follow.model import REFUSED, TRANSIENT, USER, Pod, Stage, when
from osft_pipeline.follow.pods import KILLED, STARTING, condition, waiting_words
from osft_pipeline.kubectl import Json
from osft_pipeline.terminal import plain

CODE = re.compile(r"failed with exit code (\d+)")
SILENT = timedelta(seconds=5)
"""After this time the events of an object that does not start are read."""


class Said:
    """What was read besides the objects: logs of pods and reasons to wait, by name."""

    def __init__(self) -> None:
        self.logs: dict[str, list[str]] = {}
        self.losses: dict[str, Losses] = {}
        self.hindrances: dict[str, str] = {}
        self.summaries: dict[str, str] = {}
        """Last message of a stage, by its Job: pods may be deleted before the run is done."""
        self.helm = ""
        self.workloads: list[Json] = []


def stage_of(name: str, job: Json, pods: Sequence[Pod], said: Said) -> Stage:
    """Return a stage that has a Job."""
    nodes = int(job["spec"].get("completions") or 1)
    stage = Stage(
        name=name, owner=job["metadata"]["name"], attempts=job["spec"].get("backoffLimit", 6) // nodes + 1
    )
    stage.started = when(job.get("status", {}).get("startTime"))
    choose_pods(stage, pods)
    stage.attempt = attempt(job, pods, nodes)
    failed = condition(job, "Failed") or condition(job, "FailureTarget")
    if done := condition(job, "Complete") or condition(job, "SuccessCriteriaMet"):
        set_done(stage, job, done, said)
    elif failed:
        set_failed(stage, failed, pods, said)
    elif job["spec"].get("suspend"):
        set_queued(stage, job, said)
    else:
        set_alive(stage, pods, said)
    return stage


def choose_pods(stage: Stage, pods: Sequence[Pod]) -> None:
    """Choose the newest pod of rank 0, and the newest of every other rank."""
    by_rank: dict[int, Pod] = {}
    for pod in sorted(pods, key=lambda pod: pod.created):
        by_rank[pod.rank] = pod
    if by_rank:
        first, *others = (by_rank[rank] for rank in sorted(by_rank))
        stage.pod, stage.others = first, others


def attempt(job: Json, pods: Sequence[Pod], nodes: int) -> int:
    """Return the number of the newest attempt. Pods lost with their node do not count."""
    failures = [0] * nodes
    for pod in pods:
        if pod.state == "failed" and not pod.lost:
            failures[min(pod.rank, nodes - 1)] += 1
    counted = max(
        max(failures), -(-int(job.get("status", {}).get("failed") or 0) // nodes) if not pods else 0
    )
    over = condition(job, "Failed") or condition(job, "FailureTarget")
    return max(counted, 1) if over else counted + 1


def set_done(stage: Stage, job: Json, done: Json, said: Said) -> None:
    """Set a stage to done, with its own summary."""
    stage.state, stage.exit_code = "done", 0
    # For a moment a Job has met its criteria but has no completionTime.
    stage.finished = when(job.get("status", {}).get("completionTime") or done.get("lastTransitionTime"))
    if stage.pod is None:
        stage.message = said.summaries.get(stage.owner, "its pods are gone")
        return
    stage.message = said.summaries[stage.owner] = stage.pod.message
    stage.already_done = said_already_done(said.logs.get(stage.pod.name, []))


def set_failed(stage: Stage, failed: Json, pods: Sequence[Pod], said: Said) -> None:
    """Set a stage to failed, with the message of the pod that failed first."""
    stage.state = "failed"
    stage.finished = when(failed.get("lastTransitionTime"))
    why = str(failed.get("reason", ""))
    culprit = blame(pods, failed)
    if culprit and culprit is not stage.pod:
        stage.others = [pod for pod in [stage.pod, *stage.others] if pod and pod.rank != culprit.rank]
        stage.pod = culprit
    if culprit and why != "DeadlineExceeded":
        stage.exit_code, stage.reason, stage.message = culprit.exit_code, culprit.reason, culprit.message
        stage.log = said.logs.get(culprit.name, [])
    else:
        stage.reason, stage.message = why, plain(str(failed.get("message", "")))
        told = CODE.search(stage.message)
        stage.exit_code = int(told[1]) if told else TRANSIENT if why == "DeadlineExceeded" else None
        stage.log = said.logs.get(stage.pod.name, []) if stage.pod else []
    if stage.exit_code == REFUSED:
        stage.state = "refused"


def blame(pods: Sequence[Pod], failed: Json) -> Pod | None:
    """Return the pod that caused a failure: the first with a reason of its own."""
    ends = [pod for pod in pods if pod.state == "failed"]
    if not ends:
        return None
    for code in (USER, REFUSED):
        found = [pod for pod in ends if pod.exit_code == code]
        if found and failed.get("reason") == "PodFailurePolicy":
            return max(found, key=lambda pod: pod.created)
    newest_of: dict[int, Pod] = {}
    for pod in sorted(ends, key=lambda pod: pod.created):
        newest_of[pod.rank] = pod
    last = list(newest_of.values())
    # The other pods of an attempt are killed when one ends.
    own = [
        pod for pod in last if pod.reason == "OOMKilled" or pod.exit_code not in (*KILLED, TRANSIENT, None)
    ]
    return min(own or last, key=lambda pod: pod.finished or pod.created)


def set_queued(stage: Stage, job: Json, said: Said) -> None:
    """Set a stage to queued: its Job is suspended."""
    stage.state = "queued"
    stage.reason, stage.message = queue_words(job, said)


def queue_words(thing: Json, said: Said) -> tuple[str, str]:
    """Return why a Job or a TrainJob is suspended."""
    meta = thing["metadata"]
    queue = meta.get("labels", {}).get("kueue.x-k8s.io/queue-name")
    if not queue:
        return "Suspended", "spec.suspend is true"
    for workload in said.workloads:
        owners = [owner.get("uid") for owner in workload["metadata"].get("ownerReferences") or []]
        held = condition(workload, "QuotaReserved", "False")
        if held and meta.get("uid") in owners:
            return "Queued", f"queue {queue}: {plain(str(held.get('message', '')))}"
    return "Queued", f"queue {queue} has not admitted it"


def set_alive(stage: Stage, pods: Sequence[Pod], said: Said) -> None:
    """Set the state of a stage that has not ended, from its pods."""
    now = [pod for pod in [stage.pod, *stage.others] if pod]
    failures = [pod for pod in pods if pod.state == "failed"]
    waiting = [pod for pod in now if pod.state == "pending"]
    if failures:
        last = max(failures, key=lambda pod: pod.finished or pod.created)
        code = f"exit code {last.exit_code}" if last.exit_code is not None else "no exit code"
        stage.message = f"the attempt before ended with {code}: {last.message or last.reason or 'no message'}"
    if waiting:
        stage.state = "pending"
        stage.reason, message = waiting_words(waiting[0], said.hindrances.get(waiting[0].name, ""))
        stage.message = message or stage.message
    elif any(pod.state == "running" for pod in now):
        stage.state = "running"
        lines = said.logs.get(stage.pod.name, []) if stage.pod else []
        stage.progress, stage.log = newest(lines), lines
        if stage.pod:
            losses = said.losses.setdefault(stage.pod.name, Losses())
            losses.add(lines)
            stage.curves = losses.drawn()
    elif failures or stage.attempt > 1 or any(pod.state == "ending" for pod in now):
        stage.state = "retrying"
        stage.message = stage.message or "its pod was removed"
        if any(pod.state == "ending" for pod in now):
            stage.reason = "Terminating"
    elif any(pod.state == "done" for pod in now):
        stage.state = "running"  # the Job is about to count it
        stage.message = stage.pod.message if stage.pod else ""
    else:
        stage.state = "pending"
        stage.reason, _, stage.message = (said.hindrances.get(stage.owner) or "NoPod").partition(": ")


def asks_events_of(stage: Stage, now: datetime) -> str:
    """Return the object whose events say why a stage does not start; empty if its status does."""
    if stage.state != "pending":
        return ""
    waiting = next((pod for pod in [stage.pod, *stage.others] if pod and pod.state == "pending"), None)
    if waiting is None:
        return stage.owner if stage.started is None or now - stage.started > SILENT else ""
    return waiting.name if waiting.reason in ("", *STARTING) and now - waiting.created > SILENT else ""
