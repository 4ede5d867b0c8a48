"""Two nodes over one workspace, as two starts on this machine."""

import json
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.stages.train.conftest import Stage
from tests.support.sandbox import ROOT, executable
from tests.support.tiny_model import chat_rows

TOKEN = "trainjob-token-5d1c"


class StatusServer(HTTPServer):
    """Stands where Kubeflow Trainer takes the status of a TrainJob."""

    posts: list[dict[str, Any]]
    tokens: set[str]


class Handler(BaseHTTPRequestHandler):
    server: StatusServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append(json.loads(body))
        self.server.tokens.add(self.headers["Authorization"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture(scope="module")
def status_server() -> Iterator[StatusServer]:
    server = StatusServer(("127.0.0.1", 0), Handler)
    server.posts, server.tokens = [], set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def nodes(stage: Stage, status_server: StatusServer) -> list[tuple[int, str]]:
    """Exit code and output of node 0 and node 1 of one training of a bfloat16 qwen2."""
    base = ROOT / ".cache" / "tests" / "tiny-qwen2"
    python = Path(executable("train")).with_name("python")
    script = ROOT / "tests/support/tiny_model.py"
    subprocess.run([python, script, base, "--architecture=qwen2", "--dtype=bfloat16"], check=True)
    stage.download("nodes", chat_rows(24), model=base / "model")
    token = stage.scratch / "token"
    token.write_text(TOKEN + "\n")
    env = {
        "KUBEFLOW_TRAINER_SERVER_URL": f"http://127.0.0.1:{status_server.server_port}/status",
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": str(token),
        "KUBEFLOW_TRAINER_SERVER_TOKEN": str(token),
        "PET_NNODES": "2",
        "PET_MASTER_ADDR": "localhost",
        "PET_MASTER_PORT": str(free_port()),
    }
    args = ("--effective-batch-size=8", "--weight-decay=100", "--nnodes=2")
    starts = [stage.start("nodes", *args, **env, PET_NODE_RANK=str(rank)) for rank in (1, 0)]
    ends = []
    for process in reversed(starts):
        try:
            printed, _ = process.communicate(timeout=280)
        finally:
            process.kill()
        ends.append((process.returncode, printed))
    return ends


def test_two_nodes_train_one_model(nodes: list[tuple[int, str]], stage: Stage) -> None:
    assert [code for code, _ in nodes] == [0, 0], "\n".join(text for _, text in nodes)
    record = stage.record("nodes")
    assert record["status"] == "done" and record["details"]["nodes"] == 2
    params = (stage.dir("nodes") / "train.log").read_text()
    assert '"WORLD_SIZE":2' in params.replace(" ", "")


def test_rows_are_chosen_and_the_model_published_by_the_first_node_only(
    nodes: list[tuple[int, str]],
) -> None:
    first, second = (text for _, text in nodes)
    assert "train rows to train on" in first and "train rows to train on" not in second
    assert "train model checked" in first and "train model checked" not in second


def test_arguments_of_adamw_reach_the_optimizer(nodes: list[tuple[int, str]], stage: Stage) -> None:
    """A weight decay of 100 at a rate of 1e-3 takes a tenth of every free weight each step."""
    assert nodes[0][0] == 0, nodes[0][1]

    def mean_size(folder: Path) -> float:
        data = (folder / "model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        entry = json.loads(data[8 : 8 + size])["model.embed_tokens.weight"]
        start, end = (8 + size + at for at in entry["data_offsets"])
        assert entry["dtype"] == "BF16"
        floats = (struct.unpack("<f", b"\0\0" + data[at : at + 2])[0] for at in range(start, end, 2))
        return sum(map(abs, floats))

    base = stage.workspace / stage.record("nodes")["details"]["base"]["path"]
    assert mean_size(stage.dir("nodes") / "model") < 0.95 * mean_size(base)


def test_progress_reaches_the_status_of_the_trainjob(
    nodes: list[tuple[int, str]], status_server: StatusServer
) -> None:
    assert nodes[0][0] == 0, nodes[0][1]
    assert status_server.tokens == {f"Bearer {TOKEN}"}
    first, last = (status_server.posts[at]["trainerStatus"] for at in (0, -1))
    assert 0 < first["progressPercentage"] < 100 and last["progressPercentage"] == 100
    assert {"loss", "step"} <= {metric["name"] for metric in last["metrics"]}
    assert all(isinstance(metric["value"], str) for metric in last["metrics"])
    assert last["lastUpdatedTime"].endswith("+00:00")
