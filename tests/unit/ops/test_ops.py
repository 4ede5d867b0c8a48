"""`osft-ops` by its command line; waiting and deleting against a small HTTP server that keeps objects."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click import Command

from osft_ops.cli import main
from osft_ops.kube import Api
from osft_ops.wait import wait_trainjob
from osft_workspace import Refused, Transient, UserError
from osft_workspace.exits import StageError

OPS = Path(sys.executable).with_name("osft-ops")
PODS = "/api/v1/namespaces/team/pods"
TRAINJOB = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/run1"


def ops(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [OPS, *args], capture_output=True, text=True, env=env or {"LANG": "C.UTF-8"}, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_preflight_says_every_problem_in_one_message(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    code, printed = ops(
        "preflight",
        f"--workspace={tmp_path}",
        "--min-free-gib=1e9",
        "--require-env=HF_TOKEN=create the secret hf-token.",
        "--require-file=/nowhere/ca.crt=add ca.crt to the secret registry-ca.",
        f"--address=register.address=http://127.0.0.1:{port}",
    )
    assert code == 2
    assert "4 problems before the start:" in printed
    assert re.search(
        r"\(1\) the workspace .* has [\d.]+ GiB free, expected at least 1e\+09: enlarge", printed
    )
    assert "(2) HF_TOKEN is empty or missing: create the secret hf-token." in printed
    assert "(3) the file /nowhere/ca.crt is missing: add ca.crt to the secret registry-ca." in printed
    assert (
        f"(4) register.address at http://127.0.0.1:{port} cannot be reached (Connection refused)" in printed
    )


def test_preflight_passes_where_nothing_is_wrong(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code, printed = ops(
            "preflight",
            f"--workspace={tmp_path}",
            "--require-env=HF_TOKEN=x",
            f"--address=registry=127.0.0.1:{server.getsockname()[1]}",
            env={"HF_TOKEN": "hf_canary_token"},
        )
    assert code == 0, printed
    assert "preflight all is well" in printed
    assert "hf_canary_token" not in printed


@pytest.mark.parametrize(
    ("address", "env", "code", "advice"),
    [
        ("the model hub=https://hub.invalid", {}, 2, "Behind a proxy set HTTPS_PROXY in data.pod.env"),
        (
            "the model hub=https://hub.invalid",
            {"OSFT_FOLDERS": "{}"},
            2,
            "model of this machine (--data, --model)",
        ),
        ("the model hub=https://hub.invalid", {"HTTPS_PROXY": "http://proxy:3128"}, 0, "all is well"),
        ("register.address=https://registry.invalid", {}, 2, "or leave it empty to skip registration"),
        ("register.address=http://127.0.0.1:9", {}, 2, "correct the address, or start it first"),
    ],
)
def test_preflight_gives_advice_that_fits_the_host(
    tmp_path: Path, address: str, env: dict[str, str], code: int, advice: str
) -> None:
    found, printed = ops(
        "preflight", f"--workspace={tmp_path}", f"--address={address}", env={"TZ": "", **env}
    )
    assert (found, advice in printed) == (code, True), printed


def test_preflight_names_a_workspace_that_is_not_there(tmp_path: Path) -> None:
    code, printed = ops("preflight", f"--workspace={tmp_path / 'none'}")
    assert code == 2
    assert f"there is no workspace at {tmp_path / 'none'}" in printed


def test_verify_names_what_is_missing(tmp_path: Path) -> None:
    code, printed = ops(
        "verify", f"--workspace={tmp_path}", "--run-id=r1", "--stage=download", "--stage=train"
    )
    assert code == 2
    assert "run r1 is not complete: download is not finished; train is not finished." in printed


def test_outside_a_pod_the_reason_is_reported() -> None:
    code, printed = ops("wait-trainjob", "run1")
    assert code == 2
    assert "this command runs in a pod whose service account is mounted" in printed


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_says_what_it_does(name: str) -> None:
    command: Command = main.commands[name]
    assert command.get_short_help_str(200)


class Objects(BaseHTTPRequestHandler):
    """Objects by path; a deleted one stays for two more looks, as with finalizers."""

    store: dict[str, Any]
    failures: list[int]

    def answer(self, code: int, body: Any = None) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body or {}).encode())

    def do_GET(self) -> None:
        if self.failures:
            self.answer(self.failures.pop(0))
            return
        path = urlsplit(self.path).path
        found = self.store.get(path)
        if callable(found):
            found = found()
        self.answer(404 if found is None else 200, found)

    def do_DELETE(self) -> None:
        if self.path not in self.store:
            self.answer(404)
            return
        looks = iter([{}, {}])
        self.store[self.path] = lambda: next(looks, None)
        self.answer(200)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[tuple[Api, type[Objects]]]:
    handler = type("Handler", (Objects,), {"store": {}, "failures": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Api(f"http://127.0.0.1:{server.server_port}", "token", "team", None), handler
    server.shutdown()
    server.server_close()


def trainjob(kind: str, **more: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": "True", **more}]}}


def ended_pod(
    name: str, code: int, message: str, where: str = "containerStatuses", at: str = "2026-01-01T00:00:00Z"
) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "finishedAt": at, "message": message}}
    return {"metadata": {"name": name}, "status": {where: [{"state": state}]}}


def test_the_waiter_survives_a_restarting_api_server(api: tuple[Api, type[Objects]]) -> None:
    client, handler = api
    handler.failures[:] = [503, 429]
    states = iter([{}, trainjob("Suspended"), trainjob("Complete")])
    handler.store[TRAINJOB] = lambda: next(states)
    wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0)


@pytest.mark.parametrize("where", ["containerStatuses", "initContainerStatuses"])
def test_the_waiter_ends_with_the_failed_stage_s_message_and_code(
    api: tuple[Api, type[Objects]], where: str
) -> None:
    client, handler = api
    handler.store[TRAINJOB] = trainjob("Failed", reason="FailedJobs", message="jobset failed")
    handler.store[PODS] = {"items": [ended_pod("run1-eval-0-0-x", 3, "capitals fell by 5 points", where)]}
    with pytest.raises(
        Refused, match="pod run1-eval-0-0-x ended with exit code 3: capitals fell by 5 points"
    ):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0)
    del handler.store[PODS]
    with pytest.raises(StageError, match="jobset failed") as error:
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0)
    assert error.value.exit_code == 1


def test_the_waiter_names_the_node_that_failed_and_not_the_one_that_lost_it(
    api: tuple[Api, type[Objects]],
) -> None:
    client, handler = api
    handler.store[TRAINJOB] = trainjob("Failed", reason="FailedJobs", message="jobset failed")
    first = ended_pod("run1-node-0-0-x", 2, "no row is left to train on")
    other = ended_pod("run1-node-0-1-x", 75, "the processes lost each other", at="2026-01-01T00:00:05Z")
    handler.store[PODS] = {"items": [first, other]}
    with pytest.raises(UserError, match="pod run1-node-0-0-x ended with exit code 2: no row is left"):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0)


def test_the_waiter_reports_that_a_stage_timed_out(api: tuple[Api, type[Objects]]) -> None:
    client, handler = api
    handler.store[TRAINJOB] = trainjob("Failed", reason="FailedJobs", message="jobset failed")
    late = {"metadata": {"name": "run1-node-0"}, **trainjob("Failed", reason="DeadlineExceeded")}
    handler.store["/apis/batch/v1/namespaces/team/jobs"] = {"items": [late]}
    with pytest.raises(StageError, match=r"Job run1-node-0 exceeded its time limit: train\.pod\.deadline"):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0)


def test_the_waiter_reports_that_a_trainjob_timed_out(api: tuple[Api, type[Objects]]) -> None:
    client, handler = api
    handler.store[TRAINJOB] = trainjob("Failed", reason="DeadlineExceeded", message="too long")
    with pytest.raises(StageError, match=r"TrainJob run1 exceeded its time limit: train\.pod\.deadline"):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0)


def restarted_pod(code: int, message: str) -> dict[str, Any]:
    """A pod whose container an installed runtime has restarted in place."""
    pod = ended_pod("run1-node-0-0-x", code, message)
    (status,) = pod["status"]["containerStatuses"]
    return {
        **pod,
        "status": {"containerStatuses": [{"state": {"running": {}}, "lastState": status["state"]}]},
    }


def test_the_waiter_does_not_wait_for_retries_that_cannot_succeed(
    api: tuple[Api, type[Objects]],
) -> None:
    client, handler = api
    handler.store[TRAINJOB] = {"status": {}}
    handler.store[PODS] = {"items": [restarted_pod(2, "no row is left to train on")]}
    with pytest.raises(UserError, match=r"its runtime retries it\. pod .* exit code 2: no row is left"):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0, retried_seconds=0.05)
    handler.store[PODS] = {"items": [restarted_pod(75, "the hub was unavailable")]}
    with pytest.raises(Transient, match="was not done after"):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0.2, retried_seconds=0.05)


def test_the_waiter_knows_the_message_of_a_pod_that_was_deleted_with_its_last_retry(
    api: tuple[Api, type[Objects]],
) -> None:
    client, handler = api
    states = iter([{}, trainjob("Failed", reason="FailedJobs", message="jobset failed")])
    handler.store[TRAINJOB] = lambda: next(states)
    pods = iter([{"items": [restarted_pod(1, "KeyError: 'x'")]}])
    handler.store[PODS] = lambda: next(pods, None)
    with pytest.raises(StageError, match="exit code 1: KeyError: 'x'"):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0)


def test_the_waiter_gives_up_at_its_timeout(api: tuple[Api, type[Objects]]) -> None:
    client, handler = api
    handler.store[TRAINJOB] = {"status": {}}
    with pytest.raises(Transient, match="was not done after"):
        wait_trainjob(client, "run1", poll_seconds=0.01, timeout_seconds=0.05)


def test_delete_waits_until_an_object_is_gone_and_accepts_that_there_is_none(
    api: tuple[Api, type[Objects]],
) -> None:
    client, handler = api
    handler.store[TRAINJOB] = {"metadata": {"name": "run1"}}
    assert client.delete("trainjob", "run1", time.monotonic() + 10)
    assert client.call("GET", client.path("trainjob", "run1")) is None
    assert not client.delete("trainjob", "run2", time.monotonic() + 10)


def test_a_missing_right_is_the_user_s_to_fix(api: tuple[Api, type[Objects]]) -> None:
    client, handler = api
    handler.failures[:] = [403]
    with pytest.raises(UserError, match=r"Role for this service account is missing"):
        client.call("GET", "api/v1/namespaces/team/pods")
    with pytest.raises(UserError, match="expected one of trainjob, trainingruntime"):
        client.path("deployment", "x")
