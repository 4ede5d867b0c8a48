"""The checks that a cluster answers, with the user's own rights."""

import json
import re
from collections.abc import Callable, Sequence

from osft_pipeline.chart import Object
from osft_pipeline.check import capacity
from osft_pipeline.check.findings import Findings
from osft_pipeline.check.pods import Asked, pods
from osft_pipeline.kubectl import Kubectl, failure
from osft_pipeline.local.plan import name_of
from osft_workspace import Transient, UserError

TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
OLDEST = (1, 31)
PLURALS = {"NetworkPolicy": "networkpolicies"}
KEYS = '{{range $key, $value := .data}}{{$key}}{{"\\n"}}{{end}}'


class Questions:
    """Checks one cluster for one rendering."""

    def __init__(
        self, kubectl: Kubectl, namespace: str, objects: Sequence[Object], findings: Findings
    ) -> None:
        self.kubectl, self.namespace, self.objects = kubectl, namespace, objects
        self.findings = findings

    def ask(self, what: str, question: Callable[[], None]) -> bool:
        """Run one check; return False, and name it in the findings, if the cluster did not answer."""
        try:
            question()
        except (UserError, Transient) as error:
            self.findings.unasked.append(f"{what}: {error.message}")
            return False
        return True

    def version(self) -> None:
        """Check that the cluster answers and is new enough."""
        code, text, said = self.kubectl.call("get", "--raw", "/version")
        if code != 0:
            raise failure(said)
        found = json.loads(text)
        number = (int(found["major"]), int(re.sub(r"\D", "", found["minor"])))
        problem = (
            f"this cluster runs Kubernetes {found['gitVersion']}; {OLDEST[0]}.{OLDEST[1]} or later is "
            "needed. Upgrade it, or use another with --context."
        )
        self.findings.judge("cluster", [problem] * (number < OLDEST), f"Kubernetes {found['gitVersion']}")

    def trainer(self) -> None:
        """Check that Kubeflow Trainer is installed, where the run needs it."""
        if not any(thing["kind"] == "TrainJob" for thing in self.objects):
            return
        code, _, said = self.kubectl.call("get", "--raw", TRAINER)
        missing = code != 0 and "not find" in said.replace("NotFound", "not find")
        if code != 0 and not missing:
            raise failure(said)
        problem = (
            "this cluster has no Kubeflow Trainer (trainer.kubeflow.org/v1alpha1 is not served). Install "
            "Trainer 2.1 or later, or run without it: ordering: hooks with hooks.timeoutMinutes, and "
            "train.runAs: job."
        )
        self.findings.judge("Kubeflow Trainer", [problem] if missing else [], "served")

    def rights(self) -> None:
        """Check that the user may create the rendered objects and Helm's own Secret."""
        kinds = sorted({plural(thing) for thing in self.objects} | {"secrets"})
        denied = [kind for kind in kinds if not self.may("create", kind)]
        problem = (
            f"you are not allowed to create {', '.join(denied)} in namespace {self.namespace}. Ask for "
            "the Role of docs/cluster.md#rights, or name another namespace with -n."
        )
        self.findings.judge("rights", [problem] if denied else [], f"may create {', '.join(kinds)}")

    def may(self, verb: str, kind: str) -> bool:
        """Ask the API server about a right. Raises UserError or Transient when it does not say."""
        _, text, said = self.kubectl.call("auth", "can-i", verb, kind, f"--namespace={self.namespace}")
        answer = text.strip().splitlines()[-1:] or [""]
        if answer[0] not in ("yes", "no"):
            raise failure(said)
        return answer[0] == "yes"

    def nodes(self, pods: Sequence[Asked]) -> None:
        """Check that each pod fits on some node."""
        nodes = self.kubectl.read("nodes")
        problems = [problem for pod in pods for problem in capacity.node_problems(pod, nodes)]
        self.findings.judge("nodes", problems, f"{len(nodes)}; every pod fits on one")

    def quotas(self, pods: Sequence[Asked]) -> None:
        """Check that the namespace's quotas allow each pod."""
        quotas, ranges = self.kubectl.read("resourcequotas"), self.kubectl.read("limitranges")
        problems = [
            problem
            for pod in pods
            for problem in capacity.quota_problems(pod, self.namespace, quotas, ranges)
        ]
        self.findings.judge("quotas", problems, f"{len(quotas)} in namespace {self.namespace}")

    def volumes(self) -> None:
        """Check that rendered claims get a volume and that all other claims exist."""
        there = {name_of(claim) for claim in self.kubectl.read("persistentvolumeclaims")}
        made = {name_of(thing): thing for thing in self.objects if thing["kind"] == "PersistentVolumeClaim"}
        used = {
            volume["persistentVolumeClaim"]["claimName"]
            for spec in [pod.spec for pod in pods(self.objects)]
            for volume in spec.get("volumes") or []
            if "persistentVolumeClaim" in volume
        }
        problems = [
            f"the PersistentVolumeClaim {name} does not exist in namespace {self.namespace}; a pod that "
            "mounts it would stay Pending. Create it, or correct the name in the values."
            for name in sorted(used - there - set(made))
        ]
        fresh = [claim for name, claim in made.items() if name not in there]
        if fresh:
            classes = self.kubectl.read("storageclasses")
            problems += [problem for claim in fresh for problem in capacity.storage_problems(claim, classes)]
        self.findings.judge("volumes", problems, ", ".join(sorted(used)))

    def secrets(self) -> None:
        """Check that the Secrets of the pods exist and have the keys. Values are not read."""
        made = {name_of(thing) for thing in self.objects if thing["kind"] == "Secret"}
        wanted: dict[str, set[str]] = {}
        for spec in [pod.spec for pod in pods(self.objects)]:
            for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
                for entry in container.get("env") or []:
                    ref = (entry.get("valueFrom") or {}).get("secretKeyRef")
                    if ref and not ref.get("optional") and ref["name"] not in made:
                        wanted.setdefault(ref["name"], set()).add(ref["key"])
        problems = [
            problem for name in sorted(wanted) for problem in self.secret_problems(name, wanted[name])
        ]
        self.findings.judge("Secrets", problems, ", ".join(sorted(wanted)) or "none needed")

    def secret_problems(self, name: str, keys: set[str]) -> list[str]:
        """Return what one Secret lacks."""
        code, text, said = self.kubectl.call("get", "secret", name, f"--output=go-template={KEYS}")
        if code != 0 and "NotFound" not in said:
            raise failure(said)
        if code != 0:
            return [
                f"the Secret {name} does not exist in namespace {self.namespace}. Create it (osft secrets)."
            ]
        missing = sorted(keys - set(text.split()))
        return [f"the Secret {name} has no key {', '.join(missing)}. Create it again (osft secrets)."] * bool(
            missing
        )


def plural(thing: Object) -> str:
    """Return a kind as kubectl takes it."""
    group = str(thing["apiVersion"]).rpartition("/")[0]
    name = PLURALS.get(thing["kind"], f"{thing['kind'].lower()}s")
    return f"{name}.{group}" if group else name
