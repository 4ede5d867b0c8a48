"""Kubeflow Trainer and JobSet: their CRDs, their managers as processes of this machine, their webhooks."""

import base64
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from osft_cluster.api import Api, condition
from osft_cluster.control_plane import listens
from osft_cluster.node import write
from osft_cluster.places import BIN, MODULES, Cluster
from osft_cluster.servers import Servers

CRDS = MODULES / "trainer" / "manifests/base/crds", MODULES / "jobset" / "config/components/crd/bases"
WEBHOOKS = {
    "trainer": (MODULES / "trainer" / "manifests/base/webhook", 9443),
    "jobset": (MODULES / "jobset" / "config/components/webhook", 9444),
}
TRAINER = {
    "apiVersion": "config.trainer.kubeflow.org/v1alpha1",
    "kind": "Configuration",
    "certManagement": {"enable": False},
}
JOBSET = {
    "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
    "kind": "Configuration",
    "internalCertManagement": {"enable": False},
}


def documents(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Return every object in YAML files."""
    return [item for path in files for item in yaml.load_all(path.read_text(), yaml.CSafeLoader) if item]


def apply_crds(cluster: Cluster, servers: Servers) -> None:
    """The managers end at once when their kinds are not served yet."""
    api = Api(cluster)
    crds = documents(
        path for folder in CRDS for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml"
    )
    api.apply(crds)

    def established() -> bool:
        paths = (
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{c['metadata']['name']}" for c in crds
        )
        return all(condition(api.get(path), "Established") for path in paths)

    servers.wait("kube-apiserver", established)


def start_managers(cluster: Cluster, servers: Servers) -> None:
    """Both managers, with addresses of their own, then the webhooks that lead to them."""
    for offset, (name, base) in enumerate((("trainer", TRAINER), ("jobset", JOBSET))):
        temporary = cluster.live / name
        # Trainer reads its certificate below the temporary folder, JobSet where it is told.
        certificates = temporary / "k8s-webhook-server" / "serving-certs"
        certificates.mkdir(parents=True)
        for kind in ("crt", "key"):
            shutil.copy(cluster.pki / f"webhooks.{kind}", certificates / f"tls.{kind}")
        port = WEBHOOKS[name][1]
        config = base | {
            "leaderElection": {"leaderElect": False},
            "metrics": {"bindAddress": "0"},
            "health": {"healthProbeBindAddress": f"{cluster.node}:{8082 + offset}"},
            "webhook": {"host": cluster.node, "port": port}
            | ({"certDir": str(certificates)} if name == "jobset" else {}),
            "clientConnection": {"qps": 50, "burst": 100},
        }
        path = write(temporary / "config.yaml", yaml.safe_dump(config))
        environment = {"KUBECONFIG": str(cluster.kubeconfig), "TMPDIR": str(temporary)}
        servers.start(name, name, f"--config={path}", env=environment)
    for name, (folder, port) in WEBHOOKS.items():
        servers.wait(name, lambda port=port: listens(cluster.node, port))  # type: ignore[misc]
        Api(cluster).apply(webhooks(cluster, name, folder, port))


def webhooks(cluster: Cluster, name: str, folder: Path, port: int) -> list[dict[str, Any]]:
    """Return the project's own webhook configurations, led to a process in place of a service.

    Both projects give theirs the same names, so each gets a prefix.
    """
    rendered = subprocess.run(
        [str(BIN / "kubectl"), "kustomize", str(folder.resolve())], capture_output=True, text=True, check=True
    ).stdout
    authority = base64.b64encode((cluster.pki / "ca.crt").read_bytes()).decode()
    found = [item for item in yaml.safe_load_all(rendered) if item["kind"].endswith("WebhookConfiguration")]
    for item in found:
        item["metadata"]["name"] = f"{name}-{item['metadata']['name']}"
        for hook in item["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {"url": f"https://{cluster.node}:{port}{path}", "caBundle": authority}
    return found
