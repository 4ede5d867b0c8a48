"""Reaching the registry: TLS, tokens, both API versions, and everything that is not a registry."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.stages.register.conftest import Stage
from tests.support.registry import Answer, Certificates, Registry, Request, bearer, proxy, refusal

TOKEN = "token-0123456789"
HTML: Answer = (200, {"Content-Type": "text/html"}, b"<html><body>Welcome</body></html>")


def test_a_registry_behind_tls_and_a_token_is_reached_with_its_ca(
    stage: Stage, registry: Registry, certificates: Certificates
) -> None:
    with proxy(registry.address, before=bearer(TOKEN), tls=certificates) as address:
        record = stage.done(
            f"--address={address}/", f"--ca-file={certificates.ca}", env={"OSFT_REGISTRY_TOKEN": TOKEN}
        )
    assert len(registry.versions(stage.name)) == 1
    assert record["details"]["url"].startswith(f"{address}/api/model_registry/v1alpha3/")
    assert TOKEN not in str(record)


def test_the_token_may_come_from_a_file(
    stage: Stage, registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    with proxy(registry.address, before=bearer(TOKEN), tls=certificates) as address:
        stage.done(
            f"--address={address}", f"--ca-file={certificates.ca}", f"--token-file={tmp_path / 'token'}"
        )
    assert len(registry.versions(stage.name)) == 1


def test_an_address_without_a_scheme_is_https_when_a_ca_is_given(
    stage: Stage, registry: Registry, certificates: Certificates
) -> None:
    with proxy(registry.address, tls=certificates) as address:
        port = address.rpartition(":")[2]
        stage.done("--address=127.0.0.1", f"--port={port}", f"--ca-file={certificates.ca}")
    assert len(registry.versions(stage.name)) == 1


def test_a_certificate_of_an_unknown_ca_is_rejected(
    stage: Stage, registry: Registry, certificates: Certificates
) -> None:
    with proxy(registry.address, tls=certificates) as address:
        code, printed = stage.run(f"--address={address}")
        assert code == 2, printed
        assert "CERTIFICATE_VERIFY_FAILED" in printed and "--ca-file" in printed
        stage.done(f"--address={address}", "--insecure-skip-tls-verify")


def test_https_to_a_server_without_tls_is_reported(stage: Stage, registry: Registry) -> None:
    code, printed = stage.run(f"--address={registry.address.replace('http', 'https')}")
    assert code == 2, printed
    assert "http:// address if it has no TLS" in printed


@pytest.mark.parametrize(
    ("token", "words"), [("", "It requires a token"), ("wrong-token-99", "does not accept the token")]
)
def test_a_missing_or_wrong_token_is_reported_as_such(
    stage: Stage, registry: Registry, token: str, words: str
) -> None:
    with proxy(registry.address, before=bearer(TOKEN)) as address:
        code, printed = stage.run(f"--address={address}", env={"OSFT_REGISTRY_TOKEN": token} if token else {})
    assert code == 2, printed
    assert words in printed
    assert "wrong-token-99" not in printed
    assert not registry.models(stage.name)


def test_a_token_without_rights_is_reported_as_such(stage: Stage, registry: Registry) -> None:
    def read_only(request: Request) -> Answer | None:
        return None if request.method == "GET" else refusal(403, "read only")

    with proxy(registry.address, before=read_only) as address:
        code, printed = stage.run(f"--address={address}", env={"OSFT_REGISTRY_TOKEN": TOKEN})
    assert code == 2, printed
    assert "grant the right to write" in printed


@pytest.mark.parametrize("address", ["http://registry.example.com", "registry.kubeflow.svc:8080"])
def test_a_token_never_travels_in_clear(stage: Stage, address: str) -> None:
    code, printed = stage.run(f"--address={address}", env={"OSFT_REGISTRY_TOKEN": TOKEN})
    assert code == 2, printed
    assert "is not encrypted" in printed


def test_a_newer_server_is_spoken_to_in_v1(stage: Stage, registry: Registry) -> None:
    """The real server here (0.3.0) supports v1alpha3 only: a loopback proxy takes v1's paths to it and hides
    the old ones. Paths are v1's; bodies and behaviour are v1alpha3's, the same for what we send."""

    def only_v1(request: Request) -> Answer | None:
        return None if "/v1/" in request.path else (404, {}, b"404 page not found")

    with proxy(
        registry.address, before=only_v1, path=lambda path: path.replace("/v1/", "/v1alpha3/", 1)
    ) as address:
        record = stage.done(f"--address={address}")
    assert record["details"]["api"] == "v1"
    assert "/model_registry/v1/model_versions/" in record["details"]["url"]
    (version,) = registry.versions(stage.name)
    assert len(registry.artifacts(version)) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HTML, "not as a Model Registry"),
        ((404, {"Content-Type": "text/html"}, b"<html>no such page</html>"), "not as a Model Registry"),
        ((200, {"Content-Type": "application/json"}, b'{"status": "fine"}'), "not as a Model Registry"),
        ((200, {"Content-Type": "application/json"}, b'["a"]'), "not as a Model Registry"),
        ((200, {"Content-Encoding": "gzip"}, b"plain"), "not as a Model Registry"),
        ((302, {"Location": "https://login/?state=secret"}, b""), "302 Found to https://login/ at"),
    ],
)
def test_a_server_that_is_not_a_registry_is_named_as_that(
    stage: Stage, registry: Registry, answer: Answer, words: str
) -> None:
    with proxy(registry.address, before=lambda request: answer) as address:
        code, printed = stage.run(f"--address={address}")
    assert code == 2, printed
    assert words in printed


FORGED = "no\n\x1b[2K2024-01-01T00:00:00Z register done\u2028\u202e"


@pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 2), (403, 2), (503, 75)])
def test_what_a_server_says_forges_no_line(stage: Stage, registry: Registry, status: int, code: int) -> None:
    body = json.dumps({"message": FORGED + "x" * 10_000}).encode()
    answer: Answer = (status, {"Content-Type": "application/json"}, body)
    with proxy(registry.address, before=lambda request: answer) as address:
        ended, printed = stage.run(f"--address={address}")
    assert ended == code, printed
    lines = printed.removesuffix("\n").split("\n")
    assert all(line.isprintable() and len(line) < 2000 for line in lines), printed
    assert r"no \x1b[2K2024-01-01T00:00:00Z register done" in lines[-1]


def test_an_answer_nested_too_deep_is_not_a_registry(stage: Stage, registry: Registry) -> None:
    answer: Answer = (200, {"Content-Type": "application/json"}, b"[" * 100_000)
    with proxy(registry.address, before=lambda request: answer) as address:
        code, printed = stage.run(f"--address={address}")
    assert code == 2, printed
    assert "not as a Model Registry" in printed


@pytest.mark.parametrize("flag", ["--token-file", "--ca-file"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_a_secret_that_is_not_a_file_is_named(
    stage: Stage, registry: Registry, tmp_path: Path, flag: str, kind: str
) -> None:
    file = tmp_path / "given"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        with file.open("wb") as given:
            given.truncate(1 << 40)
    address = registry.address.replace("http://", "https://")
    code, printed = stage.run(f"--address={address}", f"{flag}={file}")
    assert code == 2, printed
    wanted = {"huge": "has 1099511627776 bytes, expected", "folder": "is a folder, expected"}
    assert f"{file} {wanted.get(kind, f'is a {kind}, expected')}" in printed


@pytest.mark.parametrize(
    "address",
    ["canary:canary@host:8080", "http://canary:canary/x@host.example:80", "https://host?token=canary"],
)
def test_the_message_about_credentials_in_an_address_does_not_show_them(stage: Stage, address: str) -> None:
    code, printed = stage.run(f"--address={address}")
    assert code == 2, printed
    assert "registry address" in printed
    assert "canary" not in printed


def test_a_dead_address_exits_to_be_retried_and_keeps_an_earlier_record(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    record = stage.workspace / "runs" / "demo-0a1b2c3d" / "register" / "record.json"
    before = record.read_bytes() if record.exists() else None
    code, printed = stage.run(f"--address=127.0.0.1:{port}")
    assert code == 75, printed
    assert f"the registry at http://127.0.0.1:{port} cannot be reached" in printed
    assert (record.read_bytes() if record.exists() else None) == before


def test_a_silent_server_exits_to_be_retried(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code, printed = stage.run(f"--address=127.0.0.1:{port}", "--timeout-seconds=0.3")
    assert code == 75, printed
    assert "did not answer in time" in printed


def test_a_server_that_recovers_is_waited_for(stage: Stage, registry: Registry) -> None:
    """Every create fails twice: before the server saw it, and when it had done its work."""
    failed: dict[str, int] = {}

    def fail(request: Request, side: int, status: int) -> Answer | None:
        if request.method != "POST" or failed.get(request.path, 0) != side:
            return None
        failed[request.path] = side + 1
        return refusal(status, "come back later")

    with proxy(
        registry.address,
        before=lambda request: fail(request, 0, 429),
        after=lambda request: fail(request, 1, 503),
    ) as address:
        stage.done(f"--address={address}")
    assert list(failed.values()) == [2, 2, 2]
    (version,) = registry.versions(stage.name)
    assert len(registry.artifacts(version)) == 1


def test_a_server_that_stays_broken_is_worth_another_try_later(stage: Stage, registry: Registry) -> None:
    with proxy(registry.address, before=lambda request: refusal(500, "database away")) as address:
        code, printed = stage.run(f"--address={address}")
    assert code == 75, printed
    assert "answered 500 (database away)" in printed


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--ca-file=/nowhere/ca.pem", "--address=https://127.0.0.1:1"], "cannot be used as a CA file"),
        (["--ca-file=/nowhere/ca.pem", "--address=http://127.0.0.1:1"], "would never be used"),
        (["--token-file=/nowhere/token"], "the registry token cannot be read"),
        (["--address=http://me:word@127.0.0.1:1"], "Credentials go into"),
    ],
)
def test_settings_that_cannot_work_are_rejected(stage: Stage, args: list[str], words: str) -> None:
    code, printed = stage.run(*args)
    assert code == 2, printed
    assert words in printed.replace("\n", " ")
    assert "word@" not in printed
