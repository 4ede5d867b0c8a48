"""The objects of a release, by the run they belong to."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from osft_pipeline.follow.model import Pod
from osft_pipeline.follow.pods import view
from osft_pipeline.kubectl import Json

STAGES = ("download", "train", "eval", "register")
RUN = "osft-pipeline/run"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
JOBSET = "jobset.sigs.k8s.io/jobset-name"


class Objects:
    """The objects of one run, by kind and component."""

    def __init__(self, things: Iterable[Json]) -> None:
        self.all = sorted(things, key=lambda thing: str(thing["metadata"]["creationTimestamp"]))
        self.jobs = [thing for thing in self.all if thing["kind"] == "Job"]
        self.trainjobs = [thing for thing in self.all if thing["kind"] == "TrainJob"] or list(self.implied())
        self.pods = [thing for thing in self.all if thing["kind"] == "Pod"]
        self.jobs += list(self.unlabelled())

    def implied(self) -> Iterator[Json]:
        """Yield TrainJobs as their Jobs describe them, for users who may list only Jobs."""
        for name in {label(job, JOBSET) for job in self.jobs} - {""}:
            below = [job for job in self.jobs if label(job, JOBSET) == name]
            first = min(below, key=made)["metadata"]
            meta = {
                key: first[key] for key in ("creationTimestamp", "namespace", "annotations") if key in first
            }
            yield {"kind": "TrainJob", "metadata": {"name": name, **meta}, "spec": {}}

    def unlabelled(self) -> Iterator[Json]:
        """Yield the training Jobs of installed runtimes that Kubeflow Trainer 2.1 cannot label.

        They are as their TrainJobs and labelled pods describe them.
        """
        for trainjob in self.trainjobs:
            name, status = trainjob["metadata"]["name"], trainjob.get("status", {})
            pods = [pod for pod in self.pods if label(pod, JOBSET) == name]
            if trainjob["spec"].get("podTemplateOverrides") and (pods or status.get("jobsStatus")):
                owners = [
                    owner["uid"] for pod in pods for owner in pod["metadata"].get("ownerReferences", [])
                ]
                began = pods[0] if pods else trainjob
                meta = {
                    "name": f"{name}-node-0",
                    "uid": (owners or [""])[0],
                    "creationTimestamp": began["metadata"]["creationTimestamp"],
                    "labels": {COMPONENT: "train", JOBSET: name},
                }
                trainer = trainjob["spec"].get("trainer", {})
                yield {
                    "kind": "Job",
                    "metadata": meta,
                    "spec": {"completions": trainer.get("numNodes", 1)},
                    "status": {**status, "startTime": meta["creationTimestamp"]},
                }

    def job(self, component: str, trainjob: str = "") -> Json | None:
        """Return the newest Job of a component; with a TrainJob's name, the one below it."""
        return newest(
            job for job in self.jobs if label(job, COMPONENT) == component and label(job, JOBSET) == trainjob
        )

    def pods_of(self, job: Json) -> list[Pod]:
        """Return the pods that a Job created."""
        uid = job["metadata"]["uid"]
        owned = [
            pod
            for pod in self.pods
            if any(o["uid"] == uid for o in pod["metadata"].get("ownerReferences", []))
        ]
        return [view(pod) for pod in owned]

    def annotation(self, name: str) -> str:
        """Return an annotation of the chart from the newest object that has it."""
        for thing in reversed(self.all):
            if found := thing["metadata"].get("annotations", {}).get(f"osft-pipeline/{name}"):
                return str(found)
        return ""


def label(thing: Json, name: str) -> str:
    """Return a label, or an empty text."""
    return str(thing["metadata"].get("labels", {}).get(name, ""))


def made(thing: Json) -> datetime:
    """Return when an object was created."""
    return datetime.fromisoformat(thing["metadata"]["creationTimestamp"])


def newest(things: Iterable[Json]) -> Json | None:
    """Return the newest object that is not being deleted, or else the newest of all."""
    return max(
        things, key=lambda thing: ("deletionTimestamp" not in thing["metadata"], made(thing)), default=None
    )


def runs_of(things: Iterable[Json]) -> dict[str, datetime]:
    """Return runs and when each began last. Objects of `helm test` and the like do not count."""
    began: dict[str, datetime] = {}
    for thing in things:
        if thing["kind"] != "Pod" and label(thing, COMPONENT) in ("run", "wait", "preflight", *STAGES):
            run = label(thing, RUN)
            began[run] = max(began.get(run, made(thing)), made(thing))
    return began
