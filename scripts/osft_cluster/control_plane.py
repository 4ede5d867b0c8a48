"""etcd, the API server, the controllers and the scheduler."""

import socket

from osft_cluster.api import Api
from osft_cluster.places import Cluster
from osft_cluster.servers import Servers


def listens(address: str, port: int) -> bool:
    """Return whether a process accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def start_etcd(cluster: Cluster, servers: Servers) -> None:
    """The store. Its data lives as long as the cluster, so it need not survive a power cut."""
    client, peer = f"http://{cluster.node}:2379", f"http://{cluster.node}:2380"
    servers.start(
        "etcd", "etcd", f"--data-dir={cluster.live / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # Debian's etcd is too old to be asked for progress. Without any, what the API server knows of quiet
        # kinds ages, and it refuses to answer from that.
        "--experimental-watch-progress-notify-interval=1s",
    )  # fmt: skip


def start_apiserver(cluster: Cluster, servers: Servers) -> None:
    """The API server, on the address that every pod finds in KUBERNETES_SERVICE_HOST."""
    pki = cluster.pki
    servers.start(
        "kube-apiserver", "kube-apiserver",
        f"--bind-address={cluster.api}", "--secure-port=443", f"--advertise-address={cluster.api}",
        f"--service-cluster-ip-range={cluster.services}", f"--etcd-servers=http://{cluster.node}:2379",
        f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key", "--authorization-mode=Node,RBAC",
        f"--service-account-key-file={pki}/accounts.key",
        f"--service-account-signing-key-file={pki}/accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc", "--allow-privileged",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
        "--enable-admission-plugins=NodeRestriction", "--profiling=false",
    )  # fmt: skip
    servers.wait("kube-apiserver", Api(cluster).ready)


def start_controllers(cluster: Cluster, servers: Servers) -> None:
    """Both end at once when they come up before the API server has made their rights: start them after it."""
    pki = cluster.pki
    servers.start(
        "kube-controller-manager", "kube-controller-manager", "--leader-elect=false",
        f"--kubeconfig={pki}/controller-manager.kubeconfig", "--use-service-account-credentials",
        f"--service-account-private-key-file={pki}/accounts.key", f"--root-ca-file={pki}/ca.crt",
        f"--bind-address={cluster.node}", f"--flex-volume-plugin-dir={cluster.live}/flex",
    )  # fmt: skip
    servers.start(
        "kube-scheduler", "kube-scheduler", "--leader-elect=false",
        f"--kubeconfig={pki}/scheduler.kubeconfig", f"--bind-address={cluster.node}",
    )  # fmt: skip
