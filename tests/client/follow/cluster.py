"""Objects of a run in the shape that a real cluster gives them (Kubernetes 1.35, Trainer 2.3, JobSet 0.12).

Written after what `kubectl get trainjobs,jobs,pods -o json` printed there, without what nobody reads.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from osft_pipeline.follow.model import Run
from osft_pipeline.follow.runs import run_of
from osft_pipeline.follow.stages import Said

Json = dict[str, Any]

START = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
RUN = "run1-12dab11d"
STAGES = ("download", "train", "eval", "register")


def at(seconds: float) -> str:
    """A time after the start, as Kubernetes writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, seconds: float, reason: str = "", message: str = "", status: str = "True") -> Json:
    """A condition of a Job or a TrainJob."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(seconds),
    }


def ended(code: int, message: str = "", reason: str = "", seconds: float = 10) -> Json:
    """Container state of a pod that ended."""
    reason = reason or ("Error" if code else "Completed")
    return {"terminated": {"exitCode": code, "message": message, "reason": reason, "finishedAt": at(seconds)}}


class Cluster:
    """The objects of one release; every method adds one."""

    def __init__(self, ordering: str = "cluster", stages: tuple[str, ...] = STAGES, run: str = RUN) -> None:
        self.run, self.said = run, Said()
        self.notes = {"osft-pipeline/ordering": ordering, "osft-pipeline/stages": ",".join(stages)}
        self.trainjob_name = f"{run}-d6de" if ordering == "cluster" else f"{run}-train"
        self.ordering = ordering
        self.things: list[Json] = []

    def meta(self, name: str, component: str, made: float, **more: Any) -> Json:
        """Metadata with the chart's labels."""
        labels = {
            "app.kubernetes.io/name": "osft-pipeline",
            "app.kubernetes.io/instance": "run1",
            "app.kubernetes.io/component": component,
            "osft-pipeline/run": self.run,
            **more.pop("labels", {}),
        }
        uid = f"uid-of-{name}-{made:g}"
        return {
            "name": name,
            "namespace": "team",
            "uid": uid,
            "creationTimestamp": at(made),
            "labels": labels,
            "annotations": self.notes,
            **more,
        }

    def trainjob(
        self, made: float = 0, suspend: bool = False, labels: Json | None = None, *conditions: Json
    ) -> Self:
        """The TrainJob."""
        component = "run" if self.ordering == "cluster" else "train"
        self.things.append(
            {
                "kind": "TrainJob",
                "metadata": self.meta(self.trainjob_name, component, made, labels=labels or {}),
                "spec": {"suspend": suspend},
                "status": {"conditions": list(conditions)},
            }
        )
        return self

    def failed_trainjob(self, reason: str, message: str) -> Self:
        """A TrainJob that is Failed."""
        return self.trainjob(0, False, None, condition("Failed", 60, reason, message))

    def job(
        self,
        stage: str,
        made: float,
        *conditions: Json,
        nodes: int = 1,
        backoff: int = 3,
        failed: int = 0,
        suspend: bool = False,
    ) -> Self:
        """A stage's Job, below the TrainJob where its ordering has it there."""
        below = stage in STAGES and (self.ordering == "cluster" or (stage == "train" and self.has_trainjob()))
        part = "node" if stage == "train" else stage
        name = f"{self.trainjob_name}-{part}-0" if below else f"{self.run}-{stage}"
        labels = {"jobset.sigs.k8s.io/jobset-name": self.trainjob_name} if below else {}
        status: Json = {"conditions": list(conditions), "failed": failed, "startTime": at(made)}
        done = next((one for one in conditions if one["type"] == "Complete"), None)
        if done:
            status["completionTime"] = done["lastTransitionTime"]
        spec = {"backoffLimit": backoff * nodes, "completions": nodes, "suspend": suspend}
        metadata = self.meta(name, stage, made, labels=labels)
        self.things.append({"kind": "Job", "metadata": metadata, "spec": spec, "status": status})
        return self

    def has_trainjob(self) -> bool:
        """Whether training is below a TrainJob."""
        return any(thing["kind"] == "TrainJob" for thing in self.things)

    def pod(
        self,
        made: float,
        state: Json | None = None,
        rank: int = 0,
        phase: str = "",
        conditions: tuple[Json, ...] = (),
        reason: str = "",
        download: Json | None = None,
        check: Json | None = None,
    ) -> Self:
        """A pod of the Job that was added last.

        Args:
            download: state of an init container.
            check: state of the container that looks at the options of evaluation, beside preflight's own.
        """
        job = next(thing for thing in reversed(self.things) if thing["kind"] == "Job")
        stage = job["metadata"]["labels"]["app.kubernetes.io/component"]
        name = f"{job['metadata']['name']}-{rank}-{chr(97 + len(self.things))}"
        metadata = self.meta(name, stage, made)
        metadata["annotations"] = {"batch.kubernetes.io/job-completion-index": str(rank)}
        metadata["ownerReferences"] = [{"kind": "Job", "uid": job["metadata"]["uid"]}]
        code = (state or {}).get("terminated", {}).get("exitCode")
        guessed = {None: "Running" if state and "running" in state else "Pending", 0: "Succeeded"}.get(
            code, "Failed"
        )
        status: Json = {"phase": phase or guessed, "conditions": list(conditions)}
        if reason:
            status["reason"] = reason
        if state:
            status["containerStatuses"] = [{"name": stage, "state": state}]
        if download:
            waiting = {"waiting": {"reason": "PodInitializing"}}
            sidecar = {"name": "istio-proxy", "state": {"running": {"startedAt": at(made)}}}
            status["initContainerStatuses"] = [sidecar, {"name": "download", "state": download}]
            status["containerStatuses"] = [{"name": stage, "state": state or waiting}]
        if check:
            status["containerStatuses"].insert(0, {"name": "eval-check", "state": check})
        spec = {"nodeName": "gpu-1"} if state or download else {}
        self.things.append({"kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
        return self

    def done(self, stage: str, made: float, message: str = "") -> Self:
        """A stage that is done, with its pod."""
        end = made + 10
        self.job(stage, made, condition("Complete", end, "CompletionsReached"))
        return self.pod(made, ended(0, message or f"{stage} is done", seconds=end))

    def running(self, stage: str, made: float, *log: str, **options: Any) -> Self:
        """A stage whose pod runs, and what its log ends with."""
        self.job(stage, made, **options).pod(made, {"running": {"startedAt": at(made + 1)}})
        self.said.logs[self.things[-1]["metadata"]["name"]] = list(log)
        return self

    def failed(
        self, stage: str, made: float, code: int, message: str, reason: str = "PodFailurePolicy"
    ) -> Self:
        """A stage that failed for good, with its pod."""
        self.job(stage, made, condition("Failed", made + 10, reason), failed=1)
        return self.pod(made, ended(code, message, seconds=made + 10))

    def read(self, seconds: float = 100, run: str = "") -> Run:
        """The run as it is shown so many seconds after the start."""
        return run_of("run1", run or self.run, self.things, self.said, START + timedelta(seconds=seconds))

    def listed(self) -> str:
        """What kubectl prints."""
        return json.dumps({"kind": "List", "items": self.things})


def states(run: Run) -> dict[str, str]:
    """State of each stage."""
    return {stage.name: stage.state for stage in run.stages}
