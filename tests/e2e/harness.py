"""What the scenarios share: a cluster, a namespace, a release of the chart in it."""

import base64
import json
import os
import re
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from tests.support.hub import Hub, Repo

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".cache" / "bin"
CHART = ROOT / "charts" / "osft-pipeline"
OSFT = ROOT / ".venvs" / "client" / "bin" / "osft"
DEV_CLUSTER = ROOT / "scripts" / "dev-cluster"
TINY = ROOT / ".cache" / "tests" / "tiny"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
MODEL = "tiny/chat"
ROWS = "tiny/rows"
UID = 1000660000
"""As OpenShift would choose it."""
SMALL = {"requests": {"cpu": "100m"}, "limits": {"memory": "2Gi"}}
HELPER = {"requests": {"cpu": "50m"}}

Found = TypeVar("Found")
Values = dict[str, Any]

HOOKS: Values = {"ordering": "hooks", "hooks": {"timeoutMinutes": 1440}}
WAITING = "--timeout=24h"
"""What hooks ordering asks of helm, which waits for every stage."""
ORDERINGS: dict[str, Values] = {"cluster": {}, "hooks": HOOKS}


@dataclass(frozen=True)
class Place:
    """A cluster and the servers beside it, by the addresses that pods use."""

    kubeconfig: Path
    images: str
    registry: str
    hub: str
    s3: str
    host: str
    """Address of this machine as pods see it: tests may start servers there."""
    ours: bool
    """Whether it is the development cluster, whose node and servers a test may touch."""


def call(*words: str | Path, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it says."""
    return subprocess.run(
        [str(word) for word in words],
        env={**os.environ, "NO_COLOR": "1", **env}, input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip


def eventually(what: Callable[[], Found], seconds: float = 120, every: float = 0.5) -> Found:
    """What was asked for, as soon as it is true; its last value when time is up."""
    until = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < until:
        time.sleep(every)
    return found


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> Values:
    """Helm's way: maps are laid over maps, all else replaces."""
    found = dict(base)
    for key, value in more.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found


def status() -> dict[str, str]:
    """What `dev-cluster status` says, by the first words of each line; empty when it does not run."""
    done = call(DEV_CLUSTER, "status")
    found = dict(re.findall(r"^(.+?)\s{2,}(\S+)$", done.stdout, re.MULTILINE))
    return {**found, "host": found.get("images", "").partition(":")[0]} if done.returncode == 0 else {}


def development_place(hub: str) -> Place:
    """The development cluster, which must run."""
    found = status()
    path, images, registry, s3 = (found[key] for key in ("kubeconfig", "images", "Model Registry", "S3"))
    return Place(Path(path), images, registry, hub, s3, found["host"], ours=True)


def make_tiny_model() -> Path:
    """A folder with a model of a million parameters and rows for it."""
    python = ROOT / ".venvs" / "train" / "bin" / "python"
    subprocess.run([python, ROOT / "tests/support/tiny_model.py", TINY], check=True, capture_output=True)
    return TINY


def serve_hub(host: str, tiny: Path) -> Hub:
    """A model hub with the tiny model and its rows."""
    served = Hub(host)
    model = {path.name: path.read_bytes() for path in (tiny / "model").iterdir()}
    served.repos[f"models/{MODEL}"] = Repo(model)
    served.repos[f"datasets/{ROWS}"] = Repo({"train.jsonl": (tiny / "train.jsonl").read_bytes()})
    return served


def make_space(place: Place, words: str, scratch: Path) -> "Space":
    """A namespace under the strictest Pod Security."""
    space = Space(place, f"{words}-{secrets.token_hex(2)}", scratch)
    for command in (("create", "namespace", space.name), ("label", "namespace", space.name, RESTRICTED)):
        done = space.kubectl(*command)
        assert done.returncode == 0, done.stderr
    return space


def tiny(place: Place) -> Values:
    """The least that is a whole run: a model of a million parameters from the hub, on the CPU."""
    return {
        "model": {"uri": f"hf://{MODEL}"},
        "data": {"uri": f"hf://{ROWS}", "subset": 32, "trainFraction": 0.8, "pod": {"resources": SMALL}},
        "train": {
            "gpus": 0, "effectiveBatchSize": 8, "maxTokensPerGpu": 1024, "maxSequenceLength": 256,
            "learningRate": 0.002, "checkpoints": {"everyMinutes": 0},
            "pod": {"resources": SMALL, "shmSize": "256Mi", "terminationGraceSeconds": 20},
        },
        "eval": {
            "gpus": 0, "tasks": [], "holdout": {"limit": 8, "generate": 1, "maxNewTokens": 8},
            "pod": {"resources": SMALL, "shmSize": "256Mi"},
        },
        "register": {"address": place.registry, "pod": {"resources": {"requests": {"cpu": "50m"}}}},
        "preflight": {"pod": {"resources": HELPER}},
        "workspace": {"size": "1Gi", "minFreeGiB": 0},
        "images": {"registry": place.images},
        "stageDefaults": {
            "env": {"HF_ENDPOINT": place.hub},
            "podSecurityContext": {"runAsUser": UID},
        },
    }  # fmt: skip


@dataclass
class Space:
    """A namespace under the strictest Pod Security, gone after the test."""

    place: Place
    name: str
    scratch: Path
    releases: list["Release"] = field(default_factory=list)

    def kubectl(self, *words: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl in this namespace."""
        return call(BIN / "kubectl", "--namespace", self.name, *words, stdin=stdin, **self.env)

    @property
    def env(self) -> dict[str, str]:
        """What a user has in the shell."""
        return {"KUBECONFIG": str(self.place.kubeconfig), "PATH": f"{BIN}:{os.environ['PATH']}"}

    @property
    def environment(self) -> dict[str, str]:
        """The same over this process's environment, for programs that go on in the background."""
        return {**os.environ, **self.env}

    def get(self, *words: str) -> Any:
        """The JSON of one object or of a list's items."""
        done = self.kubectl("get", *words, "--output=json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found["items"] if found["kind"].endswith("List") else found

    def apply(self, *objects: Values) -> None:
        """Create or change objects."""
        done = self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))
        assert done.returncode == 0, done.stderr

    def secret(self, name: str, **values: str) -> None:
        """A secret, made as users make one."""
        pairs = [f"--from-literal={key}={value}" for key, value in values.items()]
        done = self.kubectl("create", "secret", "generic", name, *pairs)
        assert done.returncode == 0, done.stderr

    def serve(self, name: str, address: str) -> str:
        """A name in the cluster for a server outside it; its address there."""
        url = urlsplit(address)
        labels = {"kubernetes.io/service-name": name}
        self.apply(
            {
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"clusterIP": "None", "ports": [{"port": url.port}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": name, "labels": labels},
                "endpoints": [{"addresses": [url.hostname]}], "ports": [{"port": url.port}],
            },
        )  # fmt: skip
        return f"http://{name}.{self.name}.svc.cluster.local:{url.port}"

    def unserve(self, name: str) -> None:
        """Let a name lead nowhere."""
        assert self.kubectl("delete", "endpointslice", name).returncode == 0

    def start_pod(self, name: str, stage: str, claim: str, *command: str) -> None:
        """A pod of a stage's image with a claim at /workspace."""
        security = {"runAsNonRoot": True, "runAsUser": UID, "seccompProfile": {"type": "RuntimeDefault"}}
        container = {
            "name": name,
            "image": f"{self.place.images}/osft-pipeline/{stage}:{version()}",
            "command": list(command),
            "volumeMounts": [{"name": "workspace", "mountPath": "/workspace"}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        volume = {"name": "workspace", "persistentVolumeClaim": {"claimName": claim}}
        spec = {
            "containers": [container], "volumes": [volume],
            "securityContext": security, "restartPolicy": "Never",
        }  # fmt: skip
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def pod_output(self, stage: str, claim: str, *command: str) -> str:
        """A command's output in a pod with the claim at /workspace. Raises FileNotFoundError on failure."""
        name = f"ask-{secrets.token_hex(3)}"
        self.start_pod(name, stage, claim, *command)
        ends = ("Succeeded", "Failed")
        phase = eventually(lambda: found if (found := phase_of(self.get("pod", name))) in ends else "")
        text = self.kubectl("logs", name).stdout
        self.kubectl("delete", "pod", name, "--now", "--wait=false")
        if phase != "Succeeded":
            raise FileNotFoundError(f"{shlex.join(command)} in claim {claim}: {text}")
        return text

    def fill(self, claim: str, folder: Path, size: str) -> None:
        """A claim with a folder's files in it."""
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        self.apply(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim}, "spec": spec}
        )
        self.start_pod("fill", "download", claim, "sleep", "600")
        assert self.kubectl("wait", "--for=condition=Ready", "pod/fill", "--timeout=120s").returncode == 0
        command = (BIN / "kubectl", "--namespace", self.name, "exec", "--stdin", "fill", "--")
        into = (*command, "tar", "--extract", "--file=-", "--directory=/workspace")
        # By name and not ".": the claim's own folder belongs to another user, which tar could not restore.
        names = sorted(path.name for path in folder.iterdir())
        with subprocess.Popen(["tar", "-chf-", "-C", str(folder), *names], stdout=subprocess.PIPE) as pack:
            subprocess.run(into, stdin=pack.stdout, env=self.environment, check=True)
        self.kubectl("delete", "pod", "fill", "--now")

    def release(self, name: str = "run1", helm: str = "helm4", **values: Any) -> "Release":
        """A release of the chart with the tiny run's values and these laid over them."""
        base = merged(tiny(self.place), {"register": {"name": self.name}})
        release = Release(self, name, helm, merged(base, values))
        self.releases.append(release)
        return release


@dataclass
class Release:
    """One `helm install` and what became of it."""

    space: Space
    name: str
    helm: str
    values: Values

    def command(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run helm in the namespace."""
        program = BIN / self.helm
        return call(program, verb, self.name, "--namespace", self.space.name, *words, **self.space.env)

    def rendering(self, *words: str) -> list[str]:
        """The chart and the values, as helm's own words."""
        path = self.space.scratch / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(self.values))
        return [str(CHART), "--values", str(path), *words]

    def install(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`helm install`."""
        return self.command("install", *self.rendering(*words))

    def osft(self, verb: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`osft run` or `osft check`; the environment may replace the user's own."""
        _, *values = self.rendering()
        given = {**self.space.env, "HF_ENDPOINT": self.space.place.hub, **env}
        return call(OSFT, verb, self.name, "-n", self.space.name, *values, *words, **given)

    def upgrade(self, *words: str, **values: Any) -> subprocess.CompletedProcess[str]:
        """`helm upgrade`, with further values for good."""
        self.values = merged(self.values, values)
        return self.command("upgrade", *self.rendering(*words))

    def uninstall(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`helm uninstall`."""
        return self.command("uninstall", "--timeout=3m", *words)

    def get(self, what: str) -> str:
        """`helm get <what>`."""
        program = BIN / self.helm
        done = call(program, "get", what, self.name, "--namespace", self.space.name, **self.space.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def run(self) -> str:
        """The run id, from the notes' first line."""
        first = next(line for line in self.get("notes").splitlines() if line.startswith("Run "))
        return first.split()[1].rstrip(":")

    @property
    def trainjob(self) -> Any:
        """The release's newest TrainJob."""
        found = self.space.get("trainjobs", f"--selector=app.kubernetes.io/instance={self.name}")
        return max(found, key=lambda item: item["metadata"]["creationTimestamp"])

    def pods(self, stage: str | None = None) -> list[Any]:
        """The release's pods, oldest first."""
        selector = f"app.kubernetes.io/instance={self.name}"
        if stage:
            selector += f",app.kubernetes.io/component={stage}"
        found: list[Any] = self.space.get("pods", f"--selector={selector}")
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def condition(self) -> str:
        """`Complete`, `Failed` or nothing yet."""
        conditions = self.trainjob.get("status", {}).get("conditions", [])
        ends = [item["type"] for item in conditions if item["status"] == "True"]
        return next((name for name in ("Complete", "Failed") if name in ends), "")

    def finish(self, seconds: float = 600) -> str:
        """Wait for the TrainJob's end; what it was."""
        return eventually(self.condition, seconds, every=2)

    def complete(self, seconds: float = 600) -> None:
        """Wait for the good end of a run, where helm has not: in hooks ordering all is over already."""
        if self.values.get("ordering") != "hooks":
            assert self.finish(seconds) == "Complete", self.story()

    def read(self, path: str) -> str:
        """A file of the workspace, by a pod that mounts it."""
        text = self.space.pod_output("download", self.claim, "base64", f"/workspace/{path}")
        return base64.b64decode(text).decode()

    @property
    def claim(self) -> str:
        """The workspace's claim."""
        return f"{self.name}-workspace"

    def record(self, stage: str, run: str | None = None) -> Any:
        """What a stage left."""
        return json.loads(self.read(f"runs/{run or self.run}/{stage}/record.json"))

    def story(self) -> str:
        """Everything that helps when a scenario fails; how its pods ended comes first."""
        ends = [
            f"{pod['metadata']['name']}: exit code {end['exitCode']}: {end.get('message', '').strip()}"
            for pod in self.pods()
            if (end := ended(pod)) and end["exitCode"] != 0
        ]
        events = "custom-columns=TYPE:.type,REASON:.reason,OBJECT:.involvedObject.name,MESSAGE:.message"
        shown = [
            *ends,
            self.space.kubectl("get", "trainjobs,jobs,pods,pvc").stdout,
            self.space.kubectl("get", "events", "--sort-by=.lastTimestamp", f"--output={events}").stdout,
        ]
        for pod in self.pods():
            name = pod["metadata"]["name"]
            shown.append(f"--- {name}\n{self.space.kubectl('logs', name, '--tail=30').stdout}")
        return "\n".join(shown)


def phase_of(pod: Any) -> str:
    """Pending, Running, Succeeded or Failed."""
    return str(pod["status"].get("phase", ""))


def ended(pod: Any) -> Any:
    """How a pod's container ended: exitCode, message; empty while it runs."""
    states = pod["status"].get("containerStatuses") or [{}]
    return states[0].get("state", {}).get("terminated") or {}


def version() -> str:
    """The chart's appVersion, which is the images' tag."""
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])
