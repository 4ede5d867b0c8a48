"""The hosts of S3 at AWS, played by one server on loopback behind a proxy that leads everything there."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.support.listings import s3
from tests.support.registry import make_certificates
from tests.support.scripted import Asked, Reply, Scripted


class AwsHosts:
    """A bucket that lies in a region: requests to others are told so, as AWS does."""

    def __init__(self, folder: Path, bucket: str, region: str) -> None:
        self.region = region
        names = [f"{start}s3{middle}.amazonaws.com" for start in ("", f"{bucket}.")
                 for middle in ("", ".us-east-1", f".{region}")]  # fmt: skip
        certificates = make_certificates(folder, *names)
        self.ca = certificates.ca
        self.server = Scripted(self.answer, certificates.server)
        outer = self

        class Proxy(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                return

            def do_CONNECT(self) -> None:
                """Open a way to the server, whatever host is asked for."""
                with socket.create_connection(("127.0.0.1", outer.server.port)) as to:
                    self.send_response(200)
                    self.end_headers()
                    threading.Thread(target=pump, args=(to, self.connection), daemon=True).start()
                    pump(self.connection, to)
                self.close_connection = True

        self.proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        self.proxy.daemon_threads = True
        threading.Thread(target=self.proxy.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, asked: Asked) -> Reply:
        """Answer as the region of the host that was asked."""
        if f".{self.region}." in asked.headers["host"]:
            return s3(asked)
        text = "<Error><Code>PermanentRedirect</Code><Message>Another region</Message></Error>"
        return Reply(301, text.encode(), {"x-amz-bucket-region": self.region})

    def env(self) -> dict[str, str]:
        """Return what leads a client here."""
        return {"HTTPS_PROXY": f"http://127.0.0.1:{self.proxy.server_port}", "AWS_CA_BUNDLE": str(self.ca)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.shutdown()
        self.proxy.server_close()
        self.server.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until one side ends."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
