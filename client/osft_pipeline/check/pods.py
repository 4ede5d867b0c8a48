"""The pods that a rendering will start, and what each of them asks of its node."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from osft_pipeline.chart import Object
from osft_pipeline.check.quantity import amount
from osft_pipeline.local import installed
from osft_pipeline.local.installed import TRAINER_STEP
from osft_pipeline.local.plan import COMPONENT, annotations, is_waiter, labels, name_of

SECTIONS = {"download": "data", "wait": "train", "cleanup": "preflight"}
"""Where the values of a stage lie, where its name is not theirs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The pods of one stage."""

    stage: str
    count: int
    """How many of them run at the same time."""
    spec: Object
    """The pod's spec."""

    @property
    def section(self) -> str:
        """Return the key of the values that describes this stage."""
        return SECTIONS.get(self.stage, self.stage)

    def amounts(self, which: str) -> dict[str, str]:
        """Return requests or limits of the pod by resource; a limit counts as a request not given."""
        total: dict[str, float] = {}
        for container in self.spec["containers"]:
            for name, value in resources(container, which).items():
                total[name] = total.get(name, 0.0) + amount(value)
        for container in self.spec.get("initContainers") or []:
            for name, value in resources(container, which).items():
                total[name] = max(total.get(name, 0.0), amount(value))
        one = len(self.spec["containers"]) == 1
        written = resources(self.spec["containers"][0], which) if one else {}
        return {
            name: str(written[name]) if amount(written.get(name)) == value else f"{value:g}"
            for name, value in total.items()
        }


def resources(container: Mapping[str, Any], which: str) -> dict[str, Any]:
    """Return what a container requests or is limited to."""
    given = container.get("resources") or {}
    limits = given.get("limits") or {}
    return {**limits, **(given.get("requests") or {})} if which == "requests" else dict(limits)


def pods(objects: Iterable[Object]) -> list[Asked]:
    """Return the pods of an install in the order of the objects; those of helm's other hooks are left out."""
    things = list(objects)
    trainers = [thing["spec"].get("trainer") or {} for thing in things if thing["kind"] == "TrainJob"]
    return list(found(things, max((int(one.get("numNodes") or 1) for one in trainers), default=1)))


def found(things: list[Object], nodes: int) -> Iterator[Asked]:
    """Yield each pod template with its stage."""
    for thing in things:
        if thing["kind"] == "Job" and "pre-delete" not in str(annotations(thing).get("helm.sh/hook", "")):
            yield from of_template(thing["spec"]["template"], name_of(thing), 1)
        runtime = installed.runtime(thing) if thing["kind"] == "TrainJob" else thing
        if runtime and runtime["kind"] == "TrainingRuntime":
            for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
                template = job["template"]
                trains = labels(template).get(TRAINER_STEP) == "trainer"
                yield from of_template(template["spec"]["template"], job["name"], nodes if trains else 1)


def of_template(template: Object, name: str, count: int) -> Iterator[Asked]:
    """Yield the pod of a template, unless it only waits."""
    if not is_waiter({"spec": {"template": template}}):
        yield Asked(str(labels(template).get(COMPONENT) or name), count, template["spec"])
