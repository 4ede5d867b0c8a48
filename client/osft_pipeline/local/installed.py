"""Training on a runtime that is installed in the cluster: what its TrainJob lays over it is a whole pod."""

from osft_pipeline.chart import Object

TRAINER_STEP = "trainer.kubeflow.org/trainjob-ancestor-step"
SET = ("image", "command", "args", "env")


def runtime(train_job: Object) -> Object | None:
    """Return a TrainingRuntime with the pod that a TrainJob lays over an installed one; None if it lays none.

    How often the installed runtime retries is not known here, so it retries never.
    """
    spec = train_job["spec"]
    pod = changes(spec)
    if pod is None:
        return None
    trainer = spec["trainer"]
    (changed,) = pod["spec"]["containers"]
    container = {**changed, **{key: trainer[key] for key in SET}, "resources": trainer["resourcesPerNode"]}
    template = {**pod, "spec": {**pod["spec"], "containers": [container]}}
    job = {
        "name": changed["name"],
        "template": {
            "metadata": {"labels": {TRAINER_STEP: "trainer"}},
            "spec": {"backoffLimit": 0, "template": template},
        },
    }
    return {"kind": "TrainingRuntime", "spec": {"template": {"spec": {"replicatedJobs": [job]}}}}


def changes(spec: Object) -> Object | None:
    """Return the pod template that a TrainJob lays over its runtime's, in the words of either Trainer."""
    for override in spec.get("podTemplateOverrides") or []:
        return {"metadata": override["metadata"], "spec": override["spec"]}
    for patch in spec.get("runtimePatches") or []:
        (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
        pod: Object = job["template"]["spec"]["template"]
        return pod
    return None
