"""Waiting for a TrainJob, which Helm does not do: it waits for Jobs and Pods only.

`Failed` is final the moment it is seen: Trainer may clear it later when the JobSet is deleted.
"""

import time
from typing import Any

from osft_ops.kube import Api
from osft_workspace import exits
from osft_workspace.exits import Refused, StageError, Transient, UserError
from osft_workspace.log import event

NOT_THERE_YET_SECONDS = 60.0
ENDS: dict[int, type[StageError]] = {exits.USER: UserError, exits.REFUSED: Refused}


def condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a condition that is True, or None."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind and item["status"] == "True"), None)


def failed_sentence(api: Api, name: str) -> tuple[str, type[StageError]]:
    """Return the failed stage's own sentence and the error for its exit code, from its newest failed pod.

    Of a stage whose time ran out no pod is left. Of several nodes that one counts which ended the Job, not
    those that lost it.
    """
    selector = f"jobset.sigs.k8s.io/jobset-name={name}"
    for job in api.list("job", selector):
        if (condition(job, "Failed") or {}).get("reason") == "DeadlineExceeded":
            limits = "train.pod.deadlineMinutes, or hooks.timeoutMinutes"
            return f"Job {job['metadata']['name']} exceeded its time limit: {limits}.", StageError
    pods = api.list("pod", selector)
    ends = [
        (state["finishedAt"], state, pod["metadata"]["name"])
        for pod in pods
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in pod.get("status", {}).get(kind, [])
        if (state := status.get("state", {}).get("terminated")) and state["exitCode"] != 0
    ]
    if not ends:
        return "", StageError
    _, state, pod_name = max(ends, key=lambda end: (end[1]["exitCode"] in ENDS, str(end[0])))
    what = state.get("message", "").strip() or state.get("reason", "no reason given")
    kind = ENDS.get(state["exitCode"], StageError)
    return f"pod {pod_name} ended with exit code {state['exitCode']}: {what}", kind


def wait_trainjob(api: Api, name: str, poll_seconds: float, timeout_seconds: float) -> None:
    """Return when the TrainJob is complete.

    Raises:
        UserError: there is no such TrainJob.
        StageError: it failed; the exit code is the failed stage's 2 or 3, else 1.
        Transient: it was not done at the timeout (0 = no timeout).
    """
    started = time.monotonic()
    shown = ""
    while True:
        waited = time.monotonic() - started
        try:
            job = api.call("GET", api.path("trainjob", name))
        except Transient as error:
            event("wait", "asking again", seen=error.message)
            job = {}
        if job is None and waited > NOT_THERE_YET_SECONDS:
            raise UserError(f"TrainJob {name} does not exist in namespace {api.namespace}: it was deleted.")
        job = job or {}
        if condition(job, "Complete"):
            event("wait", "complete", trainjob=name, seconds=round(waited))
            return
        failed = condition(job, "Failed")
        if failed:
            sentence, kind = failed_sentence(api, name)
            why = sentence or failed.get("message", "no message")
            raise kind(f"TrainJob {name} failed ({failed.get('reason')}). {why}")
        state = "suspended" if condition(job, "Suspended") else "running"
        if state != shown:
            shown = state
            event("wait", state, trainjob=name)
        if timeout_seconds and waited > timeout_seconds:
            raise Transient(f"TrainJob {name} was not done after {timeout_seconds:g} s; the job continues.")
        time.sleep(poll_seconds)
