"""Makes an ordered list of steps from rendered objects. Only the chart says what runs and in which order.

There are two shapes, which may be mixed: Jobs (hooks or ordinary objects), each one step, and a TrainJob,
whose runtime has one or more replicated jobs chained by `dependsOn`.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from osft_pipeline.chart import Object
from osft_pipeline.local import installed
from osft_pipeline.local.installed import TRAINER_STEP
from osft_workspace import UserError

PHASES = {"pre-install": 0, "post-install": 2}  # ordinary objects come between
COMPONENT = "app.kubernetes.io/component"
RUN_ID = "osft-pipeline/run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One Job of the pipeline: one container, started again as its Job says."""

    stage: str
    """The component label: preflight, download, train, eval, register; the name of a further container."""
    job: str
    """Name of the Job, as the cluster would call it."""
    job_spec: Object
    pod: Object
    """The pod template: metadata and spec."""
    container: Object
    """The container to run; init containers are steps of their own."""
    deadline: float | None
    """Seconds that all attempts may take together."""

    @property
    def run_id(self) -> str:
        """Return the run that this step belongs to; empty if the chart names none."""
        return str(labels(self.pod).get(RUN_ID, ""))


def labels(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the labels of an object or a template."""
    return thing.get("metadata", {}).get("labels") or {}


def annotations(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the annotations of an object or a template."""
    return thing.get("metadata", {}).get("annotations") or {}


def name_of(thing: Mapping[str, Any]) -> str:
    """Return the object's name."""
    return str(thing.get("metadata", {}).get("name", ""))


def place(thing: Object) -> tuple[int, int, str] | None:
    """Return where an object stands in an install: phase, weight, name. None for other hooks."""
    hooks = [hook.strip() for hook in str(annotations(thing).get("helm.sh/hook", "")).split(",")]
    weight = int(annotations(thing).get("helm.sh/hook-weight", 0))
    phases = [PHASES[hook] for hook in hooks if hook in PHASES]
    if phases:
        return min(phases), weight, name_of(thing)
    return None if any(hooks) else (1, 0, name_of(thing))


def plan(objects: list[Object]) -> list[Step]:
    """Return the steps of one install, in order. Raises UserError for what one machine cannot run."""
    runtimes = {name_of(thing): thing for thing in objects if thing["kind"] == "TrainingRuntime"}
    placed = sorted(
        (
            (key, thing)
            for thing in objects
            if thing["kind"] in ("Job", "TrainJob") and (key := place(thing)) is not None
        ),
        key=lambda pair: pair[0],
    )
    steps: list[Step] = []
    for _, thing in placed:
        if thing["kind"] == "TrainJob":
            steps += train_job_steps(thing, runtimes)
        elif not is_waiter(thing):
            steps += job_steps(name_of(thing), thing["spec"], None)
    if not steps:
        raise UserError(
            "the rendered chart has no Job and no TrainJob, so there is nothing to run. Enable a stage."
        )
    return steps


def is_waiter(job: Object) -> bool:
    """Return whether a Job only waits for a TrainJob, whose own processes are waited for here."""
    containers = job["spec"]["template"]["spec"]["containers"]
    return any("wait-trainjob" in [*c.get("command", []), *c.get("args", [])] for c in containers)


def train_job_steps(train_job: Object, runtimes: Mapping[str, Object]) -> list[Step]:
    """Return the steps of a TrainJob: its runtime's replicated jobs in `dependsOn` order."""
    spec = train_job["spec"]
    runtime = installed.runtime(train_job) or runtimes.get(spec["runtimeRef"]["name"])
    if runtime is None:
        raise UserError(
            f"TrainJob {name_of(train_job)!r} names runtime {spec['runtimeRef']['name']!r}, which the chart "
            "does not render. Run it on a cluster that has this runtime."
        )
    trainer = spec.get("trainer") or {}
    nodes = trainer.get("numNodes") or (runtime["spec"].get("mlPolicy") or {}).get("numNodes") or 1
    if nodes > 1:
        raise UserError(f"the run asks for {nodes} nodes; this is one machine. Add --set train.nodes=1.")
    steps: list[Step] = []
    for replicated in in_order(runtime["spec"]["template"]["spec"]["replicatedJobs"]):
        template = copy.deepcopy(replicated["template"])
        if labels(template).get(TRAINER_STEP) == "trainer":
            apply_trainer(template["spec"]["template"]["spec"]["containers"], trainer)
        job = f"{name_of(train_job)}-{replicated['name']}-0"
        steps += job_steps(job, template["spec"], spec.get("activeDeadlineSeconds"))
    return steps


def in_order(replicated: list[Object]) -> list[Object]:
    """Return replicated jobs so that each comes after those it depends on."""
    done: set[str] = set()
    left, result = list(replicated), []
    while left:
        ready = [job for job in left if all(dep["name"] in done for dep in job.get("dependsOn") or [])]
        if not ready:
            raise UserError(f"replicated jobs wait for each other: {', '.join(job['name'] for job in left)}.")
        result.append(ready[0])
        done.add(ready[0]["name"])
        left.remove(ready[0])
    return result


def apply_trainer(containers: list[Object], trainer: Object) -> None:
    """Lay `spec.trainer` over container `node`, as the Trainer does."""
    for container in containers:
        if container["name"] == "node":
            container.update({key: trainer[key] for key in ("image", "command", "args") if trainer.get(key)})
            given = {entry["name"]: entry for entry in [*container.get("env", []), *trainer.get("env", [])]}
            container["env"] = list(given.values())


def job_steps(job: str, spec: Object, deadline: float | None) -> list[Step]:
    """Return a step for each container of a Job: init containers, its own, and preflight's second.

    All but its own are named after the container.
    """
    pod = spec["template"]
    containers = pod["spec"]["containers"]
    stage = str(labels(pod).get(COMPONENT) or containers[0]["name"])
    inits = [(str(container["name"]), container) for container in pod["spec"].get("initContainers") or []]
    if len(containers) != 1 and stage != "preflight":
        raise UserError(
            f"the pod of {stage} has {len(containers)} containers; only one can run here. Use a cluster."
        )
    beside = [(str(container["name"]), container) for container in containers[1:]]
    limits = [seconds for seconds in (spec.get("activeDeadlineSeconds"), deadline) if seconds]
    return [
        Step(
            stage=name,
            job=job,
            job_spec=spec,
            pod=pod,
            container=container,
            deadline=min(limits, default=None),
        )
        for name, container in [*inits, (stage, containers[0]), *beside]
    ]


def asked_gpus(steps: Iterable[Step]) -> dict[str, dict[str, int]]:
    """Return the accelerators that each stage asks for: {"train": {"nvidia.com/gpu": 1}}."""
    asked: dict[str, dict[str, int]] = {}
    for step in steps:
        limits = (step.container.get("resources") or {}).get("limits") or {}
        # Kubernetes names every resource that is not its own by a domain.
        gpus = {key: int(value) for key, value in limits.items() if "/" in key and int(value) > 0}
        if gpus:
            asked[step.stage] = gpus
    return asked
