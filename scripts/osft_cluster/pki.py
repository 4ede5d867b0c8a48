"""A certificate authority for one life of the cluster, and the kubeconfigs that it vouches for."""

import base64
import json
import subprocess
from pathlib import Path

from osft_cluster.places import Cluster

DAYS = "30"

# File name -> subject; the organisation is the group in Kubernetes.
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kubelet-client": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
}


def openssl(*words: str) -> None:
    """Run openssl; its chatter is of no use."""
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def issue(folder: Path, name: str, subject: str, names: str = "") -> None:
    """Write `<name>.crt` and `<name>.key`, signed by `ca`, or by itself for the authority."""
    words = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        DAYS,
        "-subj",
        subject,
    ]
    words += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    if name != "ca":
        words += ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key")]
        words += ["-addext", "basicConstraints=CA:FALSE"]
    if names:
        words += ["-addext", f"subjectAltName={names}"]
    openssl("req", "-x509", *words)


def write_kubeconfig(cluster: Cluster, user: str) -> None:
    """A kubeconfig of one user; JSON is YAML."""

    def data(path: str) -> str:
        return base64.b64encode((cluster.pki / path).read_bytes()).decode()

    server = {"server": f"https://{cluster.api}", "certificate-authority-data": data("ca.crt")}
    client = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    values = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.name, "cluster": server}],
        "users": [{"name": user, "user": client}],
        "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": user}}],
        "current-context": cluster.name,
    }
    path = cluster.pki / f"{user}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(values, indent=1) + "\n")


def make(cluster: Cluster) -> None:
    """Everything that signs and identifies, for this life of the cluster only: two of them never mix."""
    cluster.pki.mkdir(parents=True, mode=0o700)
    issue(cluster.pki, "ca", f"/CN={cluster.name}")
    api = f"IP:{cluster.api},DNS:kubernetes.default.svc,DNS:kubernetes.default"
    for name, names in (
        ("apiserver", api),
        ("kubelet", f"IP:{cluster.node}"),
        ("webhooks", f"IP:{cluster.node}"),
    ):
        issue(cluster.pki, name, f"/CN={name}", names)
    for name, subject in {**CLIENTS, "node": f"/O=system:nodes/CN=system:node:{cluster.name}"}.items():
        issue(cluster.pki, name, subject)
        write_kubeconfig(cluster, name)
    openssl("genrsa", "-out", str(cluster.pki / "accounts.key"), "2048")
