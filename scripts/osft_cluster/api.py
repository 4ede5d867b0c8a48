"""The cluster's API, as the administrator."""

import json
import ssl
from collections.abc import Iterable, Iterator
from typing import Any

import httpx

from osft_cluster.places import Cluster

APPLY = {"Content-Type": "application/apply-patch+yaml"}
MERGE = {"Content-Type": "application/merge-patch+json"}
WATCH_SECONDS = 300


class Api:
    """Plain requests; what a client library would add is of no use for a dozen calls."""

    def __init__(self, cluster: Cluster) -> None:
        context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
        context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
        self.client = httpx.Client(
            base_url=f"https://{cluster.api}", verify=context, timeout=30, trust_env=False
        )

    def ready(self) -> bool:
        """Return whether the API server and its bootstrap are done."""
        try:
            return self.client.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def get(self, path: str) -> Any:
        """Return an object, or None where there is none."""
        answer = self.client.get(path)
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().json()

    def patch(self, path: str, change: dict[str, Any]) -> None:
        """Merge a change into an object."""
        self.client.patch(path, content=json.dumps(change), headers=MERGE).raise_for_status()

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        answer = self.client.delete(path)
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()

    def apply(self, objects: Iterable[dict[str, Any]]) -> None:
        """Create or change objects, server-side: large CRDs do not fit the annotation otherwise used."""
        for item in objects:
            group = item["apiVersion"]
            path = f"/{'apis' if '/' in group else 'api'}/{group}"
            if namespace := item["metadata"].get("namespace"):
                path += f"/namespaces/{namespace}"
            path += f"/{plural(item['kind'])}/{item['metadata']['name']}"
            options = {"fieldManager": "dev-cluster", "force": "true"}
            answer = self.client.patch(path, params=options, content=json.dumps(item), headers=APPLY)
            answer.raise_for_status()

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """Objects of a kind as they are and as they change, until the server ends the watch."""
        # From any version on: the newest comes anyway, and need not be waited for.
        limits = {"watch": "true", "timeoutSeconds": str(WATCH_SECONDS), "resourceVersion": "0"}
        with self.client.stream("GET", path, params=limits, timeout=WATCH_SECONDS + 30) as answer:
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield event["object"]


def plural(kind: str) -> str:
    """Return how a kind is named in a path; enough for the kinds applied here."""
    name = kind.lower()
    return f"{name}es" if name.endswith(("s", "x")) else f"{name}s"


def condition(item: Any, name: str) -> bool:
    """Return whether a condition of an object is true; a missing object has none."""
    found = ((item or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == name and each["status"] == "True" for each in found)
