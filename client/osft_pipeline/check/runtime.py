"""Whether the cluster has the installed runtime of `train.runtimeRef`, and takes the changes of its pods."""

import json
from collections.abc import Iterable

from osft_pipeline.chart import Object
from osft_pipeline.check.findings import Findings
from osft_pipeline.kubectl import Kubectl, failure
from osft_pipeline.local.installed import TRAINER_STEP
from osft_pipeline.local.plan import labels, name_of

SCHEMA = "/openapi/v3/apis/trainer.kubeflow.org/v1alpha1"
FIELDS = ("runtimePatches", "podTemplateOverrides")
"""Where a TrainJob changes the pods of its runtime: since Kubeflow Trainer 2.2, and in 2.1."""
NODE = "node"
"""The job and the container that Trainer gives the address of the first node and all that a TrainJob sets."""


def check(objects: Iterable[Object], kubectl: Kubectl, findings: Findings) -> None:
    """Check the runtime of a TrainJob that changes an installed one. Raises UserError or Transient."""
    for thing in objects:
        field = next((field for field in FIELDS if field in thing.get("spec", {})), None)
        if thing["kind"] == "TrainJob" and field:
            ref = thing["spec"]["runtimeRef"]
            problems = [*runtime_problems(ref, kubectl), *field_problems(field, kubectl)]
            findings.judge("training runtime", problems, f"{ref['kind']} {ref['name']}")


def runtime_problems(ref: Object, kubectl: Kubectl) -> list[str]:
    """Return why the runtime cannot be used, with those that can."""
    there = kubectl.read(f"{ref['kind'].lower()}s.trainer.kubeflow.org")
    usable = [name_of(runtime) for runtime in there if trains(runtime["spec"])]
    if ref["name"] in usable:
        return []
    seen = "does not exist"
    if ref["name"] in map(name_of, there):
        seen = (
            f"has no job that this chart can use: expected mlPolicy.torch, and a job {NODE} with the label "
            f"{TRAINER_STEP}: trainer and a container {NODE}"
        )
    return [
        f"train.runtimeRef: {ref['kind']} {ref['name']} {seen}. Usable here: {', '.join(usable) or 'none'}. "
        "Correct train.runtimeRef, or remove it to use the chart's own runtime."
    ]


def trains(spec: Object) -> bool:
    """Return whether a runtime has what this chart's TrainJob changes."""
    return "torch" in (spec.get("mlPolicy") or {}) and any(
        job["name"] == NODE
        and labels(job["template"]).get(TRAINER_STEP) == "trainer"
        and any(one["name"] == NODE for one in job["template"]["spec"]["template"]["spec"]["containers"])
        for job in spec["template"]["spec"]["replicatedJobs"]
    )


def field_problems(field: str, kubectl: Kubectl) -> list[str]:
    """Return a problem if this cluster's TrainJobs have the other field."""
    code, text, said = kubectl.call("get", "--raw", SCHEMA)
    if code != 0:
        raise failure(said)
    schemas = json.loads(text)["components"]["schemas"]
    known: Object = next((one for name, one in schemas.items() if name.endswith(".TrainJob")), {})
    has = known.get("properties", {}).get("spec", {}).get("properties", {})
    other = next((one for one in FIELDS if one in has), None)
    if field in has or other is None:
        return []
    return [
        f"train.runtimeRef.patches is {field}, and the TrainJobs of this cluster have {other}. Set "
        f"train.runtimeRef.patches to {other}."
    ]
