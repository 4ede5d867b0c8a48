"""An HTTP server on loopback that answers whatever a function says: wrong lengths, endless and slow bodies.

Registry, hub, S3 and web servers are all played by it; the real ones stand in `registry`, `hub` and `s3`.
"""

import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support import own_port


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: str
    authorization: str
    number: int
    """1 for the first request of the server."""
    headers: dict[str, str] = field(default_factory=dict)
    """All of them, names in lower case."""
    body: bytes = b""


@dataclass
class Reply:
    """One answer.

    Attributes:
        length: the Content-Length; -1: that of the body, None: none, the end of the connection ends it.
        pause: seconds before the first byte.
        letters: seconds between two bytes of the headers; 0 sends them at once.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = -1
    pause: float = 0.0
    letters: float = 0.0


def of_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """Answer with JSON."""
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


def endless(piece: bytes = b"[" * 65536) -> Reply:
    """Answer with a body that does not end."""
    return Reply(200, itertools.repeat(piece), length=None)


def drip(start: bytes = b"") -> Reply:
    """Answer with a byte each tenth of a second."""

    def pieces() -> Iterator[bytes]:
        yield start
        while True:
            time.sleep(0.1)
            yield b" "

    return Reply(200, pieces(), length=None)


Script = Callable[[Asked], Reply]


class Scripted:
    """Serves what `script` says until `close`; `asked` keeps the requests."""

    def __init__(self, script: Script, certificate: Path | None = None) -> None:
        self.script = script
        self.asked: list[Asked] = []
        outer = self

        class Handler(ScriptedHandler):
            scripted = outer

        class Server(ThreadingHTTPServer):
            allow_reuse_port = True
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # a client that hangs up is what these tests are about

        self.server = Server((own_port.HOST, 0 if certificate else own_port.take()), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "https" if certificate else "http"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        own_port.leave(self.port)


class ScriptedHandler(BaseHTTPRequestHandler):
    """One connection."""

    scripted: Scripted
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, format: str, *args: Any) -> None:
        return

    def handle_any(self) -> None:
        """Write the reply of the script as it is, true or not."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url, server = urlsplit(self.path), self.scripted
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = len(server.asked) + 1
        authorization = headers.get("authorization", "")
        asked = Asked(self.command, url.path, url.query, authorization, number, headers, body)
        server.asked.append(asked)
        reply = server.script(asked)
        pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
        length = len(reply.body) if reply.length == -1 and isinstance(reply.body, bytes) else reply.length
        time.sleep(reply.pause)
        self.send_response_only(reply.status, "Reply")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if length is None or length == -1:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for letter in b"".join(self._headers_buffer) if reply.letters else b"":
            self.wfile.write(bytes([letter]))
            self.wfile.flush()
            time.sleep(reply.letters)
        if reply.letters:
            self._headers_buffer.clear()
        self.end_headers()
        if self.command != "HEAD":
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
        self.close_connection = not isinstance(reply.body, bytes) or length != len(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any
