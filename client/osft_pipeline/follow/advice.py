"""What to do, in the words of docs/troubleshooting.md: by exit code, and by what holds back a pod."""

from osft_pipeline.follow.model import REFUSED, TRANSIENT, USER, Run, Stage

SECTIONS = {"download": "data"}
WHO = {
    USER: "Exit code 2, for you: values, data, credentials, disk, an address. Correct what it names.",
    REFUSED: "Exit code 3, a gate refused and nothing is registered. Read eval/report.html; then a lower "
    "train.learningRate or train.unfreezeRankRatio, or another gate.",
    TRANSIENT: "Exit code 75, for time: a network, a registry or a node was away.",
}
IMAGES = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
COMMAND = "  "
"""Before a command, so that it is known from a sentence."""
KEPT = 'what is done answers "already done".'


def section(stage: str) -> str:
    """Key of a stage in the values."""
    return SECTIONS.get(stage, stage)


def remedy(stage: Stage) -> str:
    """What helps a stage that waits for the cluster; empty where waiting is all."""
    values = section(stage.name)
    if stage.reason == "Unschedulable":
        return unschedulable(stage, values)
    if stage.reason in IMAGES:
        return "Correct images.* or its pull secrets; nothing ends by itself while an image is missing."
    if stage.reason == "CreateContainerConfigError":
        return "Create the secret, or correct its name in secrets.*; it starts as soon as it is there."
    if stage.reason == "Terminating":
        return "On a node that is gone it stays so until the node is back, or removed (kubectl delete node)."
    if stage.reason == "FailedCreate":
        return "The namespace refuses the pod: its quota, its limits or its Pod Security level."
    return ""


def start_command(run: Run, stage: Stage) -> str:
    """What starts a TrainJob that queue.suspend holds back; empty where nothing of ours does."""
    if stage.reason != "Suspended" or not run.trainjob:
        return ""
    patch = """--type merge -p '{"spec":{"suspend":false}}'"""
    return f"kubectl -n {run.namespace} patch trainjob {run.trainjob} {patch}"


def unschedulable(stage: Stage, values: str) -> str:
    """What helps a pod that no node takes."""
    if "PersistentVolumeClaim" in stage.message:
        return "The claim has no volume: kubectl describe pvc, workspace.storageClass, workspace.accessModes."
    if "Insufficient" in stage.message:
        gpus = f"{values}.gpus, " if stage.name in ("train", "eval") else ""
        return f"It starts when a node has that much free. Or ask for less: {gpus}{values}.pod.resources."
    return f"No node takes it: kubectl describe nodes, {values}.pod.nodeSelector, tolerations, affinity."


def what_to_do(run: Run) -> list[str]:
    """Sentences for a run that ended badly; a command is a line of its own, to be pasted as it is."""
    stage = run.culprit
    if stage is None or run.exit_code == 0:
        return []
    if stage.state == "stopped":
        return [*filter(None, [remedy(stage)]), *without_helm(run)]
    if stage.name == "preflight" and stage.exit_code == USER:
        return ["Correct what it names, then helm upgrade with the corrected values. No stage has started."]
    return [why(stage), *again(run, stage), *read_more(run, stage)]


def without_helm(run: Run) -> list[str]:
    """What to do when helm no longer starts stages."""
    if run.abandoned:
        return [f"helm upgrade with the same values, and a --timeout longer than the longest stage: {KEPT}"]
    return [
        f"Take it away, then install again with the same values: with workspace.keep, {KEPT}",
        f"{COMMAND}helm uninstall {run.release} -n {run.namespace}",
    ]


def why(stage: Stage) -> str:
    """Who must act."""
    values = section(stage.name)
    if stage.reason == "OOMKilled":
        fewer = ", or fewer tokens (train.maxTokensPerGpu)" if stage.name == "train" else ""
        return f"Its memory ran out: more in {values}.pod.resources{fewer}."
    if stage.reason == "DeadlineExceeded":
        return f"Its time ran out: {values}.pod.deadlineMinutes, or hooks.timeoutMinutes."
    if stage.exit_code in WHO:
        return WHO[stage.exit_code]
    code = f"Exit code {stage.exit_code}" if stage.exit_code is not None else "No exit code"
    return f"{code}: a bug, or the machine below; the log holds the traceback."


def again(run: Run, stage: Stage) -> list[str]:
    """How the run goes on."""
    if run.ordering != "cluster":
        return [f"helm upgrade goes on; {KEPT}"]
    if stage.exit_code in (USER, REFUSED) or stage.reason in ("OOMKilled", "DeadlineExceeded"):
        return [f"helm upgrade with corrected values goes on; {KEPT}"]
    return [
        f"With the same values it goes on by helm upgrade after this; {KEPT}",
        f"{COMMAND}kubectl -n {run.namespace} delete trainjob {run.trainjob}",
    ]


def read_more(run: Run, stage: Stage) -> list[str]:
    """The command that shows the whole log."""
    if stage.pod is None:
        return []
    container = f" -c {stage.pod.container}" if stage.pod.container else ""
    return ["Its whole log:", f"{COMMAND}kubectl -n {run.namespace} logs {stage.pod.name}{container}"]
