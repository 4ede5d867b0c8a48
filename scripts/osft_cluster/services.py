"""Servers beside Kubernetes, on the node's address: images, models, objects."""

import json
import shutil
import subprocess

from osft_cluster.control_plane import listens
from osft_cluster.node import write
from osft_cluster.places import ROOT, Cluster
from osft_cluster.servers import Servers
from osft_servers.registry import registry_ready
from osft_servers.servers import Failed

S3_KEYS = {"AWS_ACCESS_KEY_ID": "dev-cluster", "AWS_SECRET_ACCESS_KEY": "dev-cluster-secret"}
S3_REGION = "us-east-1"


def start_image_registry(cluster: Cluster, servers: Servers) -> None:
    """Where images are pushed to and pulled from; they stay there over `down`."""
    config = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(cluster.home / "images")},
            "delete": {"enabled": True},
        },
        "http": {"addr": cluster.images},
    }
    path = write(cluster.live / "registry.yaml", json.dumps(config))
    if (cluster.home / "images").exists():
        # What no tag leads to any more: gigabytes, after some changes of the images.
        collect = ["docker-registry", "garbage-collect", "--delete-untagged", str(path)]
        subprocess.run(collect, capture_output=True, check=False)
    servers.start("docker-registry", "docker-registry", "serve", str(path))
    servers.wait("docker-registry", lambda: listens(cluster.node, 5000))
    # What holds a pod's network.
    push_busybox(cluster, "pause:1", "sleep", "infinity")


def push_busybox(cluster: Cluster, tag: str, *words: str) -> None:
    """An image of one static program, which runs one of its applets."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise Failed("busybox is missing. On Debian: apt-get install busybox-static")
    store = cluster.live / "buildah"
    buildah = ["buildah", f"--root={store}/root", f"--runroot={store}/run", "--storage-driver=vfs"]

    def run(*words: str) -> str:
        done = subprocess.run([*buildah, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"buildah {words[0]} ended with code {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    container = run("from", "scratch")
    run("copy", container, busybox, "/busybox")
    run("config", "--entrypoint", json.dumps(["/busybox", *words]), container)
    run("commit", "--quiet", "--timestamp=0", container, "made")
    run("push", "--quiet", "--tls-verify=false", "made", f"docker://{cluster.images}/{tag}")
    shutil.rmtree(store)


def start_model_registry(cluster: Cluster, servers: Servers) -> None:
    """Kubeflow Model Registry on MariaDB; what is registered stays there over `down`."""
    data, address = cluster.home / "model-registry", f"{cluster.node}:8080"
    servers.start(
        "model-registry",
        str(ROOT / "scripts" / "local-registry"),
        "serve",
        f"--data={data}",
        f"--listen={address}",
    )
    servers.wait("model-registry", lambda: registry_ready(cluster.model_registry))


def start_s3(cluster: Cluster, servers: Servers) -> None:
    """An S3 server; every folder below its root is a bucket."""
    root, metadata = cluster.live / "s3" / "buckets", cluster.live / "s3" / "metadata"
    for folder in (root, metadata):
        folder.mkdir(parents=True)
    keys = [f"--access={S3_KEYS['AWS_ACCESS_KEY_ID']}", f"--secret={S3_KEYS['AWS_SECRET_ACCESS_KEY']}"]
    servers.start(
        "versitygw", "versitygw", f"--port={cluster.node}:9000", f"--region={S3_REGION}", *keys,
        "posix", f"--sidecar={metadata}", str(root),
    )  # fmt: skip
    servers.wait("versitygw", lambda: listens(cluster.node, 9000))
