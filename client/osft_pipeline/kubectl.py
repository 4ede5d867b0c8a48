"""Reads the cluster through the user's own kubectl, with the user's own rights."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import Any, Self

import click

from osft_pipeline.terminal import plain
from osft_workspace import Transient, UserError

Json = dict[str, Any]

CHART = "app.kubernetes.io/name=osft-pipeline"
KINDS = ("trainjobs.trainer.kubeflow.org", "jobs.batch", "pods")
REQUEST_SECONDS = 15
LOG_BYTES = 64 * 1024

AWAY = re.compile(
    r"unable to connect to the server|connection refused|was refused|timed? ?out|timeout|no route to host|"
    r"EOF|connection reset|network is unreachable|service unavailable|etcdserver|too many requests|"
    r"temporary failure|handshake|currently unable to handle",
    re.IGNORECASE,
)
# The address kubectl assumes if no cluster is configured.
NO_CLUSTER = re.compile(r"localhost:8080|no configuration has been provided")
NO_LOGIN = re.compile(
    r"unauthorized|must be logged in|getting credentials|the server has asked for", re.IGNORECASE
)
# What kubectl puts around a reason.
WRAPPING = re.compile(
    r"^(error: |Error from server (\(\w+\): )?)+| - did you specify the right host or port\?$"
)


@cache
def find() -> str:
    """Return the kubectl of PATH. Raises UserError where it has none."""
    program = shutil.which("kubectl")
    if not program:
        raise UserError(
            "kubectl was not found on PATH, and osft reaches the cluster through it. Install it: "
            "https://kubernetes.io/docs/tasks/tools"
        )
    return program


@dataclass(slots=True)
class Kubectl:
    """One kubectl with the flags that choose a cluster and a namespace."""

    flags: Sequence[str] = ()
    unserved: set[str] = field(default_factory=set)
    """Kinds that this cluster does not have."""
    refused: set[str] = field(default_factory=set)
    """Kinds that this user may not list."""

    @classmethod
    def of(cls, namespace: str | None, context: str | None, kubeconfig: str | None) -> Self:
        """Return kubectl with the given flags."""
        given = {"namespace": namespace, "context": context, "kubeconfig": kubeconfig}
        return cls([f"--{name}={value}" for name, value in given.items() if value])

    def helm_flags(self) -> list[str]:
        """Return the same choice of cluster and namespace as helm's flags."""
        return [flag.replace("--context=", "--kube-context=") for flag in self.flags]

    def call(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Return exit code, stdout and stderr of one call. Raises UserError or Transient."""
        command = [find(), *words, *self.flags, f"--request-timeout={REQUEST_SECONDS}s"]
        try:
            done = subprocess.run(
                command,
                input=stdin.encode(),
                capture_output=True,
                timeout=2 * REQUEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise unavailable(f"kubectl did not answer within {2 * REQUEST_SECONDS} s") from None
        return (
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace").strip(),
        )

    def objects(self, release: str = "", kinds: tuple[str, ...] = KINDS) -> list[Json]:
        """Return TrainJobs, Jobs and pods of a release, or of all. Raises UserError or Transient."""
        chosen = f"{CHART},app.kubernetes.io/instance={release}" if release else CHART
        while True:
            asked = [kind for kind in kinds if kind not in self.unserved]
            words = ("get", ",".join(asked), f"--selector={chosen}")
            code, text, said = self.call(*words, "--output=json")
            if code == 0:
                return items(text)
            missing = re.search(r'have a resource type "([^"]+)"', said)
            unserved = {kind for kind in asked if missing and same_kind(kind, missing[1])}
            if unserved:
                self.unserved |= unserved  # no Kubeflow Trainer here: train.runAs is job
                continue
            found = items(text)
            if "forbidden" in said.lower() and found:
                self.refused = set(re.findall(r'cannot list resource "(\w+)"', said))
                return found
            raise failure(said)

    def read(self, kind: str) -> list[Json]:
        """Return all objects of a kind in the namespace or the cluster. Raises UserError or Transient."""
        code, text, said = self.call("get", kind, "--output=json")
        if code != 0:
            raise failure(said)
        return items(text)

    def log(self, pod: str, container: str, lines: int) -> list[str]:
        """Return the last lines of a container's log, if any. An empty name: the pod's stage."""
        words = ("logs", pod, f"--tail={lines}", f"--limit-bytes={LOG_BYTES}")
        code, text, _ = self.call(*words, *([f"--container={container}"] if container else []))
        return text.splitlines() if code == 0 else []

    def hindrance(self, name: str) -> str:
        """Return what the newest event about an object says, if that is a reason to wait."""
        code, text, _ = self.call(
            "get", "events", f"--field-selector=involvedObject.name={name}", "--output=json"
        )
        newest = max(items(text) if code == 0 else [], key=happened, default={})
        # Of normal events only the pull of a large image takes long.
        matters = newest.get("type") == "Warning" or newest.get("reason") == "Pulling"
        return plain(f"{newest.get('reason')}: {newest.get('message')}") if matters else ""

    def helm_status(self, release: str) -> str:
        """Return helm's status of a release, such as deployed or failed; empty if unknown.

        Only labels are asked for: the secret itself holds the values.
        """
        chosen = f"--selector=owner=helm,name={release}"
        code, text, _ = self.call("get", "secrets", chosen, "--show-labels", "--no-headers")
        found = [dict(re.findall(r"(\w+)=([\w-]+)", line)) for line in text.splitlines()] if code == 0 else []
        newest = max(found, key=lambda labels: int(labels.get("version", 0)), default={})
        return str(newest.get("status", ""))

    def workloads(self) -> list[Json]:
        """Return Kueue's Workloads, which say why a Job waits; none if Kueue is not installed."""
        code, text, _ = self.call("get", "workloads.kueue.x-k8s.io", "--output=json")
        return items(text) if code == 0 else []

    def namespace(self) -> str:
        """Return the namespace of the flags, otherwise the current one."""
        given = next((flag for flag in self.flags if flag.startswith("--namespace=")), "")
        if given:
            return given.partition("=")[2]
        code, text, _ = self.call("config", "view", "--minify", "--output=jsonpath={..namespace}")
        return (text.strip() if code == 0 else "") or "default"

    def releases(self) -> dict[str, set[str]]:
        """Return namespaces and the releases of this chart in them, as far as this user may list them."""
        for where in (["--all-namespaces"], []):
            kinds = ",".join(kind for kind in KINDS if kind not in self.unserved)
            words = ("get", kinds, f"--selector={CHART}", "--output=json", *where)
            code, text, _ = self.call(*words)
            if code == 0:
                break
        found: dict[str, set[str]] = {}
        for thing in items(text) if code == 0 else []:
            meta = thing["metadata"]
            found.setdefault(meta["namespace"], set()).add(meta["labels"]["app.kubernetes.io/instance"])
        return found


def cluster_options(command: Any) -> Any:
    """Give a command kubectl's flags; it receives `kubectl`, the program with them."""

    @click.option("-n", "--namespace", help="Namespace; kubectl's current one by default.")
    @click.option("--context", "--kube-context", help="Context of the kubeconfig.")
    @click.option("--kubeconfig", help="Kubeconfig file.")
    @wraps(command)
    def with_kubectl(
        namespace: str | None, context: str | None, kubeconfig: str | None, **others: Any
    ) -> Any:
        return command(kubectl=Kubectl.of(namespace, context, kubeconfig), **others)

    return with_kubectl


def items(text: str) -> list[Json]:
    """Return the objects of a List; none for any other text."""
    try:
        found: list[Json] = json.loads(text).get("items", [])
    except ValueError:
        return []
    return found


def happened(event: Json) -> str:
    """Return when an event was seen last."""
    seen = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp")
    return str(seen or event.get("eventTime") or "")


def same_kind(kind: str, said: str) -> bool:
    """Return whether the kind in kubectl's message is `kind`."""
    return kind.partition(".")[0] == said.partition(".")[0]


def failure(said: str) -> UserError | Transient:
    """Return kubectl's message as an error to fix or to wait for."""
    words = WRAPPING.sub("", (said or "no reason").splitlines()[-1])
    if NO_CLUSTER.search(said):
        return UserError(
            "kubectl has no cluster configured. Set KUBECONFIG, or give --kubeconfig or --context."
        )
    if NO_LOGIN.search(said):
        return UserError(f"the cluster did not accept your login ({words}). Log in again.")
    if "forbidden" in said.lower():
        return UserError(
            f"you are not allowed to read this ({words}). Ask for a Role with get and list on trainjobs, "
            "jobs, pods and pods/log in this namespace, or name another with -n."
        )
    if AWAY.search(said):
        return unavailable(words)
    return UserError(f"kubectl failed: {words}")


def unavailable(words: str) -> Transient:
    """Return the error for a cluster that cannot be reached now."""
    return Transient(f"the cluster does not answer ({words}).")
