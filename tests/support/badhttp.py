"""An HTTP server on loopback that misbehaves as asked: the path says how.

`/ok/<name>` answers well, `/403/<name>` with that status, `/flaky/<name>` with 500 twice and then well;
`/cut/<name>` ends in the middle of the body, `/cut-once/<name>` only the first time; `/slow/<name>` sends
nothing; `/page/<name>` is a login page with status 200; `/moved/<name>` redirects to `/ok/<name>`,
`/loop/<name>` to itself; `/packed/<name>` says that it is packed with gzip and is not.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"


class BadHttp:
    """Serves `files` until `close`; `asked` counts the requests of each path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: dict[str, int] = {}
        self.queries: list[str] = []
        self.closing = threading.Event()
        bad = self

        class Handler(BadHandler):
            server_bad = bad

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


class BadHandler(BaseHTTPRequestHandler):
    """One request."""

    server_bad: BadHttp
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        """Do what the first part of the path says."""
        url = urlsplit(self.path)
        how, _, name = url.path.strip("/").partition("/")
        bad = self.server_bad
        bad.asked[url.path] = times = bad.asked.get(url.path, 0) + 1
        bad.queries.append(url.query)
        data = bad.files.get(name, b"")
        if how.isdigit():
            self.send(int(how), b"no")
        elif how == "flaky" and times <= 2:
            self.send(500, b"no")
        elif how == "page":
            self.send(200, PAGE, "text/html")
        elif how in ("moved", "loop"):
            self.send_response(302)
            self.send_header("Location", f"/ok/{name}" if how == "moved" else self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif how == "slow":
            bad.closing.wait(30)
            self.close_connection = True
        elif how == "cut" or (how == "cut-once" and times == 1):
            self.send(200, data, promised=len(data) + 100)
            self.close_connection = True
        else:
            self.send(200, data, encoding="gzip" if how == "packed" else None)

    def send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/octet-stream",
        promised: int | None = None,
        encoding: str | None = None,
    ) -> None:
        """An answer whose Content-Length is what is promised, which may be more than what comes."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.send_header("ETag", '"v1"')
        self.end_headers()
        self.wfile.write(body)
