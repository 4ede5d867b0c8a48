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
RETRIED_SECONDS = 10.0
"""After this time a pod that must not be retried is being retried: the runtime has no failure policy."""
DEADLINE = "DeadlineExceeded"
JOBSET = "jobset.sigs.k8s.io/jobset-name"
ENDS: dict[int, type[StageError]] = {exits.USER: UserError, exits.REFUSED: Refused}


def condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a condition that is True, or None."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind and item["status"] == "True"), None)


def failed_end(api: Api, name: str) -> tuple[str, type[StageError]] | None:
    """Return the message of the newest failed pod and the error for its exit code; None if none failed.

    Of several nodes that one counts which ended the Job, not those that lost it. Runtimes that this chart did
    not make may restart a container in its pod.
    """
    ends = [
        (ended["finishedAt"], ended, pod["metadata"]["name"])
        for pod in api.list("pod", f"{JOBSET}={name}")
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in pod.get("status", {}).get(kind, [])
        for state in (status.get("state", {}), status.get("lastState", {}))
        if (ended := state.get("terminated")) and ended["exitCode"] != 0
    ]
    if not ends:
        return None
    _, ended, pod_name = max(ends, key=lambda end: (end[1]["exitCode"] in ENDS, str(end[0])))
    what = ended.get("message", "").strip() or ended.get("reason", "no reason given")
    kind = ENDS.get(ended["exitCode"], StageError)
    return f"pod {pod_name} ended with exit code {ended['exitCode']}: {what}", kind


def timed_out(api: Api, name: str, failed: dict[str, Any]) -> str:
    """Return which TrainJob or Job exceeded its time limit, of which no pod is left; empty if none did."""
    late = [f"TrainJob {name}"] if failed.get("reason") == DEADLINE else []
    for job in api.list("job", f"{JOBSET}={name}"):
        if (condition(job, "Failed") or {}).get("reason") == DEADLINE:
            late.append(f"Job {job['metadata']['name']}")
    limits = "train.pod.deadlineMinutes, or hooks.timeoutMinutes"
    return f"{late[-1]} exceeded its time limit: {limits}." if late else ""


def failure(
    api: Api, name: str, failed: dict[str, Any], seen: tuple[str, type[StageError]] | None
) -> StageError:
    """Return the error for a TrainJob that failed: its Job's time limit, or how its last pod ended."""
    head = f"TrainJob {name} failed ({failed.get('reason')})."
    if late := timed_out(api, name, failed):
        return StageError(f"{head} {late}")
    why, kind = failed_end(api, name) or seen or (failed.get("message", "no message"), StageError)
    return kind(f"{head} {why}")


def looked_at(
    api: Api, name: str, *, there: bool
) -> tuple[dict[str, Any], tuple[str, type[StageError]] | None]:
    """Return the TrainJob, and how a pod of it failed; nothing where the API does not answer now.

    Args:
        there: whether it must exist by now.

    Raises:
        UserError: it does not.
    """
    try:
        job = api.call("GET", api.path("trainjob", name))
        end = failed_end(api, name)
    except Transient as error:
        event("wait", "asking again", seen=error.message)
        return {}, None
    if job is None and there:
        raise UserError(f"TrainJob {name} does not exist in namespace {api.namespace}: it was deleted.")
    return job or {}, end


def wait_trainjob(
    api: Api,
    name: str,
    poll_seconds: float,
    timeout_seconds: float,
    retried_seconds: float = RETRIED_SECONDS,
) -> None:
    """Return when the TrainJob is complete.

    Raises:
        UserError: there is no such TrainJob.
        StageError: it failed, or an installed runtime retries what cannot succeed; the exit code is the
            failed stage's 2 or 3, else 1.
        Transient: it was not done at the timeout (0 = no timeout).
    """
    started = time.monotonic()
    shown = ""
    seen: tuple[str, type[StageError]] | None = None
    final_since = 0.0
    while True:
        waited = time.monotonic() - started
        job, end = looked_at(api, name, there=waited > NOT_THERE_YET_SECONDS)
        # Pods that failed are gone when a runtime without a failure policy has no retry left.
        seen = end or seen
        if condition(job, "Complete"):
            event("wait", "complete", trainjob=name, seconds=round(waited))
            return
        if failed := condition(job, "Failed"):
            raise failure(api, name, failed, seen)
        if seen and seen[1] is not StageError:
            final_since = final_since or waited
            if waited - final_since > retried_seconds:
                raise seen[1](f"TrainJob {name} cannot succeed, but its runtime retries it. {seen[0]}")
        if (state := "suspended" if condition(job, "Suspended") else "running") != shown:
            shown = state
            event("wait", state, trainjob=name)
        if timeout_seconds and waited > timeout_seconds:
            raise Transient(f"TrainJob {name} was not done after {timeout_seconds:g} s; the job continues.")
        time.sleep(poll_seconds)
