"""Volumes: a folder of this machine for each claim, or a file system of exactly the size asked for."""

import shutil
import subprocess
import threading
import time
from typing import Any

import httpx

from osft_cluster.api import Api
from osft_cluster.places import Cluster

PROVISIONER = "dev-cluster/host-path"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
FOLDER_CLASS = "folder"
SIZED_CLASS = "sized"
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}


def classes() -> list[dict[str, Any]]:
    """Both storage classes. They wait for a consumer, as most of a cloud's do."""
    base = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        {**base, "metadata": {"name": FOLDER_CLASS, "annotations": default}},
        {**base, "metadata": {"name": SIZED_CLASS}},
    ]


def bytes_of(quantity: str) -> int:
    """Return a Kubernetes quantity in bytes."""
    for unit, factor in UNITS.items():
        if quantity.endswith(unit):
            return int(float(quantity.removesuffix(unit)) * factor)
    return int(quantity)


def make_volume(cluster: Cluster, claim: dict[str, Any]) -> dict[str, Any]:
    """Return the folder for a claim and the volume that names it."""
    name = f"pvc-{claim['metadata']['uid']}"
    folder, size = cluster.volumes / name, claim["spec"]["resources"]["requests"]["storage"]
    folder.mkdir(parents=True, exist_ok=True)
    if claim["spec"]["storageClassName"] == SIZED_CLASS and not folder.is_mount():
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={bytes_of(size)}", name, str(folder)], check=True
        )
    # fsGroup does not reach into such a volume: the folder itself lets group 0 in.
    folder.chmod(0o2775)
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": claim["spec"]["storageClassName"],
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": reference | {key: claim["metadata"][key] for key in ("name", "namespace", "uid")},
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def remove_volume(cluster: Cluster, api: Api, name: str) -> None:
    """Throw a released volume and its folder away."""
    folder = cluster.volumes / name
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
    shutil.rmtree(folder, ignore_errors=True)
    api.delete(f"/api/v1/persistentvolumes/{name}")


def provision(cluster: Cluster, api: Api) -> None:
    """Give every claim that has a consumer its volume."""
    for claim in api.watch("/api/v1/persistentvolumeclaims"):
        wanted = claim["spec"].get("storageClassName") in (FOLDER_CLASS, SIZED_CLASS)
        chosen = SELECTED_NODE in claim["metadata"].get("annotations", {})
        if (
            wanted
            and chosen
            and claim["status"]["phase"] == "Pending"
            and "deletionTimestamp" not in claim["metadata"]
        ):
            api.apply([make_volume(cluster, claim)])


def reclaim(cluster: Cluster, api: Api) -> None:
    """Remove every volume whose claim was deleted."""
    for volume in api.watch("/api/v1/persistentvolumes"):
        if volume["status"].get("phase") == "Released":
            remove_volume(cluster, api, volume["metadata"]["name"])


def start(cluster: Cluster) -> None:
    """Serve claims in the background, as long as this process lives."""

    def forever(work: Any) -> None:
        while True:
            try:
                work(cluster, Api(cluster))
            except httpx.HTTPError:
                pass  # the server ends each watch after a while, and is stopped with the cluster
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"a volume could not be made or removed, retrying: {error}", flush=True)
            time.sleep(0.5)

    Api(cluster).apply(classes())
    for work in (provision, reclaim):
        threading.Thread(target=forever, args=(work,), daemon=True).start()
