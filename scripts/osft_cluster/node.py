"""The node: containerd, the pods' network, kubelet and the name server."""

import json
import subprocess
from pathlib import Path

import yaml

from osft_cluster.api import Api, condition
from osft_cluster.places import Cluster
from osft_cluster.servers import Servers
from osft_images.publish import served

CNI_PLUGINS = Path("/usr/lib/cni")
NAMESPACE = "k8s.io"
CONTAINERD = """\
version = 2
root = "{home}/containerd"
state = "{run}/containerd"
[grpc]
address = "{run}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{home}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{images}/pause:1"
# Where root lacks CAP_SYS_RESOURCE, as inside many virtual machines, no container starts without it.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
# The registry has them still, 3 GB beside the 7 GB that they become.
discard_unpacked_layers = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{run}/runc"
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{live}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{live}/hosts"
"""
# Two blocks: in one, the template would answer the cluster's own names, too. No cache: it would remember that
# the first training pod has no name yet.
COREDNS = """\
cluster.local:53 {{
  bind {dns}
  errors
  kubernetes cluster.local {{
    kubeconfig {kubeconfig}
    pods insecure
    ttl 0
  }}
}}
.:53 {{
  bind {dns}
  template ANY ANY . {{
    rcode NXDOMAIN
  }}
}}
"""


def write(path: Path, text: str) -> Path:
    """Return a file in its own folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def start_containerd(cluster: Cluster, servers: Servers) -> None:
    """The runtime with stores of its own; it pulls from the cluster's registry without TLS."""
    words = {"home": cluster.home, "live": cluster.live, "run": cluster.run}
    text = CONTAINERD.format(**words, images=cluster.images, plugins=CNI_PLUGINS)
    address = f"http://{cluster.images}"
    hosts = f'server = "{address}"\n[host."{address}"]\ncapabilities = ["pull", "resolve"]\n'
    write(cluster.live / "hosts" / cluster.images / "hosts.toml", hosts)
    network = {
        "type": "bridge", "bridge": cluster.bridge, "isGateway": True, "ipMasq": False,
        "ipam": {
            "type": "host-local", "dataDir": str(cluster.run / "addresses"),
            "ranges": [[{"subnet": cluster.pods}]], "routes": [{"dst": "0.0.0.0/0"}],
        },
    }  # fmt: skip
    plugins = {"cniVersion": "1.0.0", "name": cluster.name, "plugins": [network]}
    write(cluster.live / "cni" / "10-pods.conflist", json.dumps(plugins))
    servers.start("containerd", "containerd", f"--config={write(cluster.live / 'containerd.toml', text)}")
    servers.wait("containerd", lambda: ctr(cluster, "version").returncode == 0)
    remove_containers(cluster)
    forget_images(cluster)


def ctr(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    """Containerd's own client."""
    command = ["ctr", f"--address={cluster.containerd}", f"--namespace={NAMESPACE}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def remove_containers(cluster: Cluster) -> None:
    """Kill and forget all containers. Images stay, so that the next start need not pull them."""
    for task in ctr(cluster, "tasks", "list", "--quiet").stdout.split():
        ctr(cluster, "tasks", "delete", "--force", task)
    for container in ctr(cluster, "containers", "list", "--quiet").stdout.split():
        ctr(cluster, "containers", "delete", container)


def forget_images(cluster: Cluster) -> None:
    """Forget each image whose tag means another one in the registry by now: a pod takes what its node has."""
    rows = [line.split() for line in ctr(cluster, "images", "list").stdout.splitlines()[1:]]
    stale = set()
    for reference, _, digest, *_ in rows:
        name, _, tag = reference.rpartition(":")
        if name.startswith(f"{cluster.images}/") and "@" not in name and served(name, tag) != digest:
            stale.add(digest)
    doomed = [reference for reference, _, digest, *_ in rows if digest in stale]
    if doomed:
        ctr(cluster, "images", "remove", "--sync", *doomed)


def start_kubelet(cluster: Cluster, servers: Servers) -> None:
    """The node's agent. Waits until the node is ready."""
    live, pki = cluster.live, cluster.pki
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": cluster.node,
        "healthzBindAddress": cluster.node,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": f"{pki}/ca.crt"}},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{cluster.containerd}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cluster.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [cluster.dns],
        "clusterDomain": "cluster.local",
        "resolvConf": str(write(live / "resolv.conf", "")),
        "makeIPTablesUtilChains": False,
        # Nothing is thrown out on a machine whose disk others fill for a moment.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(live / "pod-logs"),
        "volumePluginDir": str(live / "flex"),
        # Tests delete and start many pods: a second less for each.
        "syncFrequency": "10s",
        "fileCheckFrequency": "1h",
    }
    servers.start(
        "kubelet", "kubelet", f"--config={write(live / 'kubelet.yaml', yaml.safe_dump(config))}",
        f"--kubeconfig={pki}/node.kubeconfig", f"--node-ip={cluster.node}",
        f"--hostname-override={cluster.name}",
        f"--root-dir={live}/kubelet", f"--cert-dir={live}/kubelet-pki",
    )  # fmt: skip
    servers.wait("kubelet", lambda: node_ready(cluster))


def node_ready(cluster: Cluster) -> bool:
    """Return whether pods can be placed on the node."""
    return condition(Api(cluster).get(f"/api/v1/nodes/{cluster.name}"), "Ready")


def start_dns(cluster: Cluster, servers: Servers) -> None:
    """The name server. An address on the loopback interface is local for pods, through the bridge."""
    text = COREDNS.format(dns=cluster.dns, kubeconfig=cluster.kubeconfig)
    servers.start("coredns", "coredns", "-conf", str(write(cluster.live / "Corefile", text)))
