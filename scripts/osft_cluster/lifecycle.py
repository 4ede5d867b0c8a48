"""One life of the cluster: everything in the order of its start, and back."""

import contextlib
import time
from collections.abc import Callable, Iterator

from osft_cluster import control_plane, host, keeper, kubeflow, node, pki, services, storage
from osft_cluster.api import Api
from osft_cluster.places import Cluster
from osft_cluster.servers import Servers
from osft_servers import ending
from osft_servers.servers import Failed

ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
GPUS = "2"

Step = Callable[[Cluster, Servers], None]


def mark_gpus(cluster: Cluster, servers: Servers) -> None:
    """GPUs that the scheduler counts. No pod sees one: no such device is there."""
    change = {"status": {"capacity": {"nvidia.com/gpu": GPUS}}}
    Api(cluster).patch(f"/api/v1/nodes/{cluster.name}/status", change)


def wait_for_accounts(cluster: Cluster, servers: Servers) -> None:
    """Pods are refused before the controllers have made their namespace's account."""
    servers.wait("kube-controller-manager", lambda: Api(cluster).get(ACCOUNT) is not None)


def start_storage(cluster: Cluster, servers: Servers) -> None:
    """Storage classes, and what serves their claims."""
    storage.start(cluster)


STEPS: list[tuple[str, list[Step]]] = [
    ("etcd and the servers beside Kubernetes", [
        control_plane.start_etcd, services.start_image_registry,
        services.start_model_registry, services.start_s3,
    ]),
    ("the API server", [control_plane.start_apiserver]),
    ("controllers, scheduler, containerd, kubelet, names", [
        control_plane.start_controllers, node.start_containerd, node.start_dns, node.start_kubelet, mark_gpus,
    ]),
    ("Kubeflow Trainer and JobSet", [kubeflow.apply_crds, kubeflow.start_managers]),
    ("storage and accounts", [start_storage, wait_for_accounts]),
]  # fmt: skip


def stop(cluster: Cluster, servers: Servers) -> None:
    """End everything: first who would make pods again, then the pods, then what they stand on."""
    servers.stop("trainer", "jobset", "kube-controller-manager", "kube-scheduler", "kubelet")
    if "containerd" in servers.running:
        node.remove_containers(cluster)
    servers.stop(*servers.running)


def make_room(cluster: Cluster) -> None:
    """Clear up after one that was killed. Raises Failed when another is alive or may be."""
    who = keeper.signed(cluster)
    if who and not who.alive:
        host.give_back(who.place(cluster))
        print("cleared up after one that was killed", flush=True)
    elif who:
        raise Failed(
            f"process {who.pid} keeps a cluster of this name for {who.home}. "
            "End it there with `scripts/dev-cluster down`, or give --name and --network for a second one."
        )
    if found := host.in_use(cluster):
        raise Failed(
            f"something of this cluster's is there already: {', '.join(found)}. "
            f"`scripts/dev-cluster down` removes what is named {cluster.name}; "
            "for a second cluster beside it, give --name and --network."
        )


@contextlib.contextmanager
def living(cluster: Cluster) -> Iterator[Servers]:
    """The whole cluster, ready for pods. Raises Failed when it cannot start; then nothing of it is left.

    SIGTERM and SIGINT end it; a second one changes nothing, so that no half of it stays.
    """
    make_room(cluster)
    ending.hear()
    keeper.sign(cluster)
    servers = Servers(cluster)
    try:
        host.take(cluster)
        cluster.logs.mkdir(parents=True, exist_ok=True)
        pki.make(cluster)
        for words, steps in STEPS:
            start = time.monotonic()
            for step in steps:
                step(cluster, servers)
            print(f"{time.monotonic() - start:5.1f} s  {words}", flush=True)
        if dead := servers.dead():
            raise Failed(f"{dead[0]} ended by itself; see {servers.log(dead[0])}.")
        (cluster.run / keeper.READY).touch()
        yield servers
    finally:
        stop(cluster, servers)
        host.give_back(cluster)


def serve(cluster: Cluster, hours: float) -> None:
    """Keep the cluster until a signal, until a server of it dies, or until its time is up."""
    with living(cluster) as servers:
        print("ready", flush=True)
        servers.watch(time.monotonic() + hours * 3600)
    print(f"ended after {hours:g} hours", flush=True)
