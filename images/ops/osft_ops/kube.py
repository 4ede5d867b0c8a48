"""The few calls to the Kubernetes API that the chart needs, with the pod's own service account."""

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from osft_workspace.exits import Transient, UserError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = {
    "trainjob": "apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs",
    "trainingruntime": "apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainingruntimes",
    "job": "apis/batch/v1/namespaces/{}/jobs",
    "pod": "api/v1/namespaces/{}/pods",
    "configmap": "api/v1/namespaces/{}/configmaps",
    "persistentvolumeclaim": "api/v1/namespaces/{}/persistentvolumeclaims",
    "secret": "api/v1/namespaces/{}/secrets",
    "serviceaccount": "api/v1/namespaces/{}/serviceaccounts",
    "role": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "networkpolicy": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "rolebinding": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Api:
    """A Kubernetes API server and the right to ask it."""

    server: str
    token: str
    namespace: str
    tls: ssl.SSLContext | None

    @classmethod
    def in_pod(cls, namespace: str | None = None) -> Self:
        """Return the cluster this pod runs in.

        Raises:
            UserError: no service-account token is mounted, so this is not a pod, or it may not use the API.
        """
        try:
            token = (ACCOUNT / "token").read_text()
            namespace = namespace or (ACCOUNT / "namespace").read_text().strip()
        except FileNotFoundError as error:
            raise UserError(
                f"there is no {error.filename}: this command runs in a pod whose service account is mounted."
            ) from error
        host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
        host = f"[{host}]" if ":" in host else host
        tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        return cls(f"https://{host}:{port}", token, namespace, tls)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """One request; None for 404.

        Raises:
            UserError: the service account lacks the right.
            Transient: the API server is unavailable or overloaded.
        """
        request = urllib.request.Request(
            f"{self.server}/{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=self.tls) as answer:
                result: dict[str, Any] = json.load(answer)
                return result
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if error.code in (401, 403):
                raise UserError(
                    f"the API server refused {method} {path} ({error.code}): the chart's Role for this "
                    "service account is missing or was changed."
                ) from error
            raise Transient(f"the API server answered {error.code} to {method} {path}.") from error
        except OSError as error:
            raise Transient(f"the API server did not answer {method} {path} ({error}).") from error

    def path(self, kind: str, name: str = "", selector: str = "") -> str:
        """Return the path of an object, or of a kind with an optional label selector.

        Raises:
            UserError: the kind is not one of `KINDS`.
        """
        if kind not in KINDS:
            raise UserError(f"{kind!r} is not a kind this command knows: expected one of {', '.join(KINDS)}.")
        base = KINDS[kind].format(self.namespace)
        if name:
            return f"{base}/{name}"
        return f"{base}?labelSelector={quote(selector)}" if selector else base

    def delete(self, kind: str, name: str, deadline: float) -> bool:
        """Delete an object with all it owns and wait until it is gone; False where there was none.

        Raises:
            Transient: it is still there at the deadline (monotonic seconds).
        """
        path = self.path(kind, name)
        if self.call("DELETE", path, {"propagationPolicy": "Foreground"}) is None:
            return False
        while self.call("GET", path) is not None:
            if time.monotonic() > deadline:
                raise Transient(
                    f"{kind} {name} is still being deleted. See `kubectl describe {kind} {name}`."
                )
            time.sleep(1.0)
        return True

    def list(self, kind: str, selector: str) -> list[dict[str, Any]]:
        """Return the objects of a kind that carry the labels; none where the kind is not served."""
        answer = self.call("GET", self.path(kind, selector=selector))
        items: list[dict[str, Any]] = (answer or {}).get("items", [])
        return items
