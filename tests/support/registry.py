"""A real Model Registry for tests, proxies to put in front of it, and a witness of what it holds."""

import atexit
import functools
import http.client
import ipaddress
import json
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
API = "/api/model_registry/v1alpha3"


@dataclass(frozen=True)
class Registry:
    """A running server and plain looks into it."""

    address: str

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.address}{API}/{path}", params={"pageSize": "1000"})
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(f"{self.address}{API}/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        answer = httpx.patch(f"{self.address}{API}/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def models(self, name: str) -> list[Any]:
        return [item for item in self.get("registered_models")["items"] if item["name"] == name]

    def versions(self, name: str) -> list[Any]:
        return [
            v for m in self.models(name) for v in self.get(f"registered_models/{m['id']}/versions")["items"]
        ]

    def artifacts(self, version: Any) -> list[Any]:
        found: list[Any] = self.get(f"model_versions/{version['id']}/artifacts")["items"]
        return found


@functools.cache
def shared_registry() -> Registry:
    """The one server of this session. It ends when this process does, in whatever way: its pipe closes."""
    data = tempfile.TemporaryDirectory(prefix="osft-test-registry-")
    command = [str(ROOT / "scripts" / "local-registry"), "run", "--data", data.name]
    process = subprocess.Popen(
        [*command, "--", "sh", "-c", 'echo "$OSFT_LOCAL_REGISTRY"; cat'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, "scripts/local-registry could not start; see its message above"

    def end() -> None:
        process.communicate()
        data.cleanup()

    atexit.register(end)
    return Registry(address)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return shared_registry()


@dataclass(frozen=True)
class Request:
    """What a proxy's rule sees."""

    number: int
    method: str
    path: str
    token: str


Answer = tuple[int, dict[str, str], bytes]
Rule = Callable[[Request], Answer | None]
JSON = {"Content-Type": "application/json"}


def refusal(status: int, message: str) -> Answer:
    return status, JSON, json.dumps({"code": str(status), "message": message}).encode()


def bearer(token: str) -> Rule:
    """Return what an authenticating proxy does."""

    def check(request: Request) -> Answer | None:
        if not request.token:
            return refusal(401, "no token")
        return None if request.token == f"Bearer {token}" else refusal(401, "unknown token")

    return check


@contextmanager
def proxy(
    upstream: str,
    *,
    before: Rule = lambda request: None,
    after: Rule = lambda request: None,
    path: Callable[[str], str] = lambda path: path,
    tls: "Certificates | None" = None,
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """A proxy on an address of this machine; yields its own address.

    `before` may answer in the server's place; `after` runs when the server has done its work and may replace
    its answer; `path` rewrites where a request goes.
    """
    numbers = iter(range(1, 1_000_000))
    lock = threading.Lock()
    to = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                number = next(numbers)
            request = Request(number, self.command, self.path, self.headers.get("Authorization", ""))
            answer = before(request)
            if answer is None:
                done = self.forward(body)
                answer = after(request) or done
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def forward(self, body: bytes) -> Answer:
            connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=30)
            connection.request(self.command, path(self.path), body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, {"Content-Type": answer.headers.get("Content-Type", "text/plain")}, content

        do_GET = do_POST = do_PATCH = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return  # a client that hangs up is what some tests are about

    server = Server((host, 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.server)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Certificates:
    """A CA of our own and a server certificate signed by it."""

    ca: Path
    server: Path


def make_certificates(folder: Path, *hosts: str) -> Certificates:
    """Write both as PEM files, the certificate for addresses or names; none: this machine's own address."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def general_name(host: str) -> x509.GeneralName:
        is_name = host[-1].isalpha()
        return x509.DNSName(host) if is_name else x509.IPAddress(ipaddress.ip_address(host))

    def certificate(
        name: str, issuer: tuple[x509.Name, Any] | None, *extensions: tuple[Any, bool]
    ) -> tuple[Any, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(
            issuer_name=issuer[0] if issuer else subject,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=datetime.now(UTC) - timedelta(days=1),
            not_valid_after=datetime.now(UTC) + timedelta(days=2),
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key

    pem = serialization.Encoding.PEM
    ca, ca_key = certificate("test CA", None, (x509.BasicConstraints(ca=True, path_length=None), True))
    names = x509.SubjectAlternativeName([general_name(host) for host in hosts or ("127.0.0.1",)])
    signed, key = certificate("registry", (ca.subject, ca_key), (names, False))
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(signed.public_bytes(pem) + plain)
    return Certificates(folder / "ca.pem", folder / "server.pem")


WITNESS = """
import json, sys
from model_registry import ModelRegistry
host, port, name, version = sys.argv[1:]
registry = ModelRegistry(host, int(port), author="witness", is_secure=False)
model = registry.get_registered_model(name)
found = registry.get_model_version(name, version)
artifact = registry.get_model_artifact(name, version)
keys = ("uri", "model_format_name", "model_format_version", "model_source_kind", "model_source_class",
        "model_source_group", "model_source_id", "model_source_name")
print(json.dumps({
    "model": {"id": model.id, "name": model.name, "owner": model.owner, "description": model.description},
    "version": {"id": found.id, "author": found.author, "description": found.description},
    "properties": found.custom_properties,
    "artifact": {"id": artifact.id, "state": artifact.state, **{key: getattr(artifact, key) for key in keys}},
}))
"""


def witness(address: str, name: str, version: str) -> Any:
    """What the official client reads. In its own process: the client patches asyncio globally."""
    where = urlsplit(address)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        WITNESS,
        f"http://{where.hostname}",
        str(where.port),
        name,
        version,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
