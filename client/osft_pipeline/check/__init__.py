"""What can be checked before a run starts: values, rights, cluster and addresses, each once.

Each check takes what helm renders and adds to `Findings`; none of them changes anything.
"""

from collections.abc import Sequence

from osft_pipeline.chart import Object
from osft_pipeline.check import hub, runtime
from osft_pipeline.check.cluster import Questions
from osft_pipeline.check.findings import Findings
from osft_pipeline.check.pods import pods
from osft_pipeline.kubectl import Kubectl
from osft_pipeline.rendering import render

ADDRESSES = {"--uri": "data.uri", "--eval-uri": "data.evalUri", "--model-uri": "model.uri"}


def check(name: str, flags: list[str], kubectl: Kubectl, autoscaler: bool) -> Findings:
    """Render the release and run every check. Raises HelmFailed for values that do not render."""
    namespace = kubectl.namespace()
    objects = render(name, [*flags, "--namespace", namespace])
    findings = Findings(fine=["values: they render"])
    asked = pods(objects)
    cluster = Questions(kubectl, namespace, objects, findings)
    if cluster.ask("cluster", cluster.version):
        cluster.ask("Kubeflow Trainer", cluster.trainer)
        cluster.ask("training runtime", lambda: runtime.check(objects, kubectl, findings))
        cluster.ask("rights", cluster.rights)
        if not autoscaler:
            cluster.ask("nodes", lambda: cluster.nodes(asked))
        cluster.ask("quotas", lambda: cluster.quotas(asked))
        cluster.ask("volumes", cluster.volumes)
        cluster.ask("Secrets", cluster.secrets)
    hub.check(addresses(objects), findings)
    return findings


def addresses(objects: Sequence[Object]) -> dict[str, str]:
    """Return the addresses that the download stage is given, by their key in the values."""
    found: dict[str, str] = {}
    for pod in pods(objects):
        for container in [*pod.spec["containers"], *(pod.spec.get("initContainers") or [])]:
            if (container.get("command") or [""])[0] == "osft-download":
                for word in container.get("args") or []:
                    flag, _, value = str(word).partition("=")
                    if flag in ADDRESSES:
                        found.setdefault(ADDRESSES[flag], value)
    return found
