"""Rows behind IPv6 addresses: hosts stay whole in logs and records, and two hosts are two inputs."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.stages.download.support import CHAT, Stage


class Rows(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CHAT)))
        self.end_headers()
        self.wfile.write(CHAT)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Listens on IPv6 and, through mapped addresses, on IPv4."""

    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


@pytest.fixture
def port() -> Iterator[int]:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    server = Server(("::", 0), Rows)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_ipv6_host_is_another_input_and_each_is_shown_whole(stage: Stage, port: int) -> None:
    first = f"http://[::1]:{port}/a.jsonl"
    end = stage.good("--uri", first.replace("//", "//user:canary@") + "?sig=canary")
    assert f"fetching uri={first}\n" in end.printed
    assert end.record["inputs"]["uri"] == [first]
    assert end.record["details"]["sources"][0]["uri"] == first
    assert "canary" not in end.printed + (end.dir / "record.json").read_text()
    assert "already done" in stage.good("--uri", first + "?sig=renewed").printed
    second = f"http://[::ffff:127.0.0.1]:{port}/a.jsonl"
    end = stage.good("--uri", second)
    assert "inputs changed, running again changed=uri\n" in end.printed
    assert f"fetching uri={second}\n" in end.printed
    assert end.record["inputs"]["uri"] == [second]
