"""Names, addresses and folders: everything that a second cluster on the same machine would change."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".cache" / "bin"
MODULES = ROOT / ".cache" / "modules"
NETWORK = "10.196"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Paths and addresses. All addresses are in one /16 that nothing else on the machine may use."""

    name: str = "osft-dev"
    """Of the node, the bridge, the cgroup and the folder under /run."""
    network: str = NETWORK
    home: Path = ROOT / ".cache" / "cluster"
    """What outlives `down`: logs, pulled and pushed images, the registry's database."""

    @property
    def run(self) -> Path:
        """Sockets and state that end with the cluster. Short: a socket's path has at most 107 bytes."""
        return Path("/run") / self.name

    @property
    def live(self) -> Path:
        """Data that is recreated at each start."""
        return self.home / "live"

    @property
    def logs(self) -> Path:
        """One file for each server."""
        return self.home / "log"

    @property
    def pki(self) -> Path:
        """Certificates and kubeconfigs, recreated at each start."""
        return self.live / "pki"

    @property
    def volumes(self) -> Path:
        """Folders behind the volumes."""
        return self.live / "volumes"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.pki / "admin.kubeconfig"

    @property
    def containerd(self) -> Path:
        """The runtime's socket."""
        return self.run / "containerd.sock"

    @property
    def bridge(self) -> str:
        """Name of the pods' network interface; at most 15 characters."""
        return f"{self.name}0"

    @property
    def api(self) -> str:
        """First address of the services' range, which pods take for the API server's."""
        return f"{self.network}.0.1"

    @property
    def node(self) -> str:
        """The node's, and of every server beside Kubernetes."""
        return f"{self.network}.0.2"

    @property
    def dns(self) -> str:
        """The name server's."""
        return f"{self.network}.0.10"

    @property
    def services(self) -> str:
        """Range of ClusterIPs. There is no kube-proxy: only the API server's works, and headless ones."""
        return f"{self.network}.0.0/17"

    @property
    def pods(self) -> str:
        """Range of the pods' addresses."""
        return f"{self.network}.128.0/24"

    @property
    def images(self) -> str:
        """The image registry, as image names begin."""
        return f"{self.node}:5000"

    @property
    def model_registry(self) -> str:
        """Base address of the Model Registry."""
        return f"http://{self.node}:8080"

    @property
    def s3(self) -> str:
        """Base address of the S3 server."""
        return f"http://{self.node}:9000"
