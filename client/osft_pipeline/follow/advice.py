"""What to do, as docs/troubleshooting.md says it: by exit code, and by what keeps a pod from starting."""

from osft_pipeline.follow.model import REFUSED, TRANSIENT, USER, Run, Stage

SECTIONS = {"download": "data"}
WHO = {
    USER: "Exit code 2, for you: values, data, credentials, disk, an address. Fix what the message names.",
    REFUSED: "Exit code 3, the gate failed and nothing is registered. Read eval/report.html, then lower "
    "train.learningRate or train.unfreezeRankRatio, or change eval.gates.",
    TRANSIENT: "Exit code 75, for later: a network, registry or node was unavailable.",
}
IMAGES = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
COMMAND = "  "
"""Begins a line that is a command."""
KEPT = 'finished stages answer "already done".'


def section(stage: str) -> str:
    """Return the key of a stage in the values."""
    return SECTIONS.get(stage, stage)


def remedy(stage: Stage) -> str:
    """Return what helps a stage that waits for the cluster; empty if it only has to wait."""
    values = section(stage.name)
    if stage.reason == "Unschedulable":
        return unschedulable(stage, values)
    if stage.reason in IMAGES:
        return "Fix images.* or its pull secrets: the pod waits as long as the image is missing."
    if stage.reason == "CreateContainerConfigError":
        return "Create the Secret, or fix its name in secrets.*: the pod starts as soon as the Secret exists."
    if stage.reason == "Terminating":
        return "On a lost node the pod stays until the node is back or is deleted (kubectl delete node)."
    if stage.reason == "FailedCreate":
        return "The namespace rejects the pod: check its quota, its limits and its Pod Security level."
    return ""


def start_command(run: Run, stage: Stage) -> str:
    """Return the command that starts a TrainJob suspended by queue.suspend; empty for any other."""
    if stage.reason != "Suspended" or not run.trainjob:
        return ""
    patch = """--type merge -p '{"spec":{"suspend":false}}'"""
    return f"kubectl -n {run.namespace} patch trainjob {run.trainjob} {patch}"


def unschedulable(stage: Stage, values: str) -> str:
    """Return what helps a pod that fits on no node."""
    if "PersistentVolumeClaim" in stage.message:
        return "The claim has no volume. Check kubectl describe pvc, workspace.storageClass and accessModes."
    if "Insufficient" in stage.message:
        gpus = f"{values}.gpus, " if stage.name in ("train", "eval") else ""
        return f"It starts when a node has that much free. To ask for less: {gpus}{values}.pod.resources."
    return f"No node fits. Check kubectl describe nodes, {values}.pod.nodeSelector, tolerations, affinity."


def what_to_do(run: Run) -> list[str]:
    """Return the advice for a failed run; each command is a line of its own, to be copied."""
    stage = run.culprit
    if stage is None or run.exit_code == 0:
        return []
    if stage.state == "stopped":
        return [*filter(None, [remedy(stage)]), *without_helm(run)]
    if stage.name == "preflight" and stage.exit_code == USER:
        return ["Fix what the message names, then run helm upgrade with new values. No stage has started."]
    return [why(stage), *again(run, stage), *read_more(run, stage)]


def without_helm(run: Run) -> list[str]:
    """Return what to do when helm no longer starts stages."""
    if run.abandoned:
        return [
            f"Run helm upgrade with the same values and a --timeout longer than the longest stage: {KEPT}"
        ]
    return [
        f"Uninstall it, then install it again with the same values: with workspace.keep, {KEPT}",
        f"{COMMAND}helm uninstall {run.release} -n {run.namespace}",
    ]


def why(stage: Stage) -> str:
    """Return the cause and who must act."""
    values = section(stage.name)
    if stage.reason == "OOMKilled":
        fewer = ", or lower train.maxTokensPerGpu" if stage.name == "train" else ""
        return f"It ran out of memory. Raise {values}.pod.resources{fewer}."
    if stage.reason == "DeadlineExceeded":
        return f"Its time ran out: {values}.pod.deadlineMinutes, or hooks.timeoutMinutes."
    if stage.exit_code in WHO:
        return WHO[stage.exit_code]
    code = f"Exit code {stage.exit_code}" if stage.exit_code is not None else "No exit code"
    return f"{code}: a bug, or a fault of the node; the log has the traceback."


def again(run: Run, stage: Stage) -> list[str]:
    """Return how to continue the run."""
    if run.ordering != "cluster":
        return [f"To continue, run helm upgrade; {KEPT}"]
    if stage.exit_code in (USER, REFUSED) or stage.reason in ("OOMKilled", "DeadlineExceeded"):
        return [f"To continue, run helm upgrade with corrected values; {KEPT}"]
    return [
        f"To continue with the same values, run this and then helm upgrade; {KEPT}",
        f"{COMMAND}kubectl -n {run.namespace} delete trainjob {run.trainjob}",
    ]


def read_more(run: Run, stage: Stage) -> list[str]:
    """Return the command that shows the whole log."""
    if stage.pod is None:
        return []
    container = f" -c {stage.pod.container}" if stage.pod.container else ""
    return ["The whole log:", f"{COMMAND}kubectl -n {run.namespace} logs {stage.pod.name}{container}"]
