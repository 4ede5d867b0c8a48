"""The Kubeflow SDK reads a run: its own client over HTTP, with the rendered objects as answers."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import TrainerClient

from tests.chart.rendering import HOOKS, Object, overlay, render

GROUP = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team"
PLURALS = {"TrainJob": "trainjobs", "TrainingRuntime": "trainingruntimes"}
ON_CPU = {"train": {"gpus": 0, "pod": {"resources": {"limits": {"cpu": "8"}}}}}


class Server(ThreadingHTTPServer):
    """Answers with what lies at a path, and 404 otherwise."""

    answers: dict[str, Object]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = self.server.answers.get(self.path.partition("?")[0])
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found or {}).encode())

    def log_message(self, *words: object) -> None:
        pass


def objects(values: Object) -> dict[str, Object]:
    """What the API server would answer about a rendering."""
    found: dict[str, Object] = {"/api/v1/namespaces/team/pods": {"items": []}}
    for thing in render(values):
        if thing["kind"] in PLURALS:
            thing["metadata"] |= {"namespace": "team", "creationTimestamp": "2026-11-21T16:00:00Z"}
            found[f"{GROUP}/{PLURALS[thing['kind']]}/{thing['metadata']['name']}"] = thing
    jobs = [thing for thing in found.values() if thing.get("kind") == "TrainJob"]
    return found | {f"{GROUP}/trainjobs": {"items": jobs}}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as served:
        Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


def client(server: Server, folder: Path) -> TrainerClient:
    """The SDK's client with a kubeconfig for the server."""
    cluster = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
    config = {
        "clusters": [{"name": "x", "cluster": cluster}], "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "current-context": "x",
    }  # fmt: skip
    (folder / "config").write_text(yaml.safe_dump(config))
    return TrainerClient(KubernetesBackendConfig(namespace="team", config_file=str(folder / "config")))


@pytest.mark.parametrize("ordering", [{}, HOOKS], ids=["cluster", "hooks"])
@pytest.mark.parametrize(("more", "device"), [({}, "gpu"), (ON_CPU, "cpu")], ids=["gpu", "cpu"])
def test_the_sdk_lists_and_reads_a_run(
    server: Server, tmp_path: Path, ordering: Object, more: Object, device: str
) -> None:
    server.answers = objects(overlay(ordering, more))
    trainer = client(server, tmp_path)
    (listed,) = trainer.list_jobs()
    read = trainer.get_job(listed.name)
    assert listed.name.startswith("run1-") and read.num_nodes == 1
    assert (read.status, read.runtime.trainer.framework, read.runtime.trainer.device) == (
        "Created",
        "torch",
        device,
    )


def test_the_sdk_cannot_read_training_whose_only_limit_is_memory(server: Server, tmp_path: Path) -> None:
    """docs/cluster.md says so; when this fails, the SDK has learned it and the sentence can go."""
    server.answers = objects({"train": {"gpus": 0}})
    with pytest.raises(RuntimeError):
        client(server, tmp_path).list_jobs()
