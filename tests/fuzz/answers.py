"""A server on loopback that answers every request with the same bytes, and then hangs up."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Answers:
    """Starts with the first answer, and ends with the process."""

    def __init__(self) -> None:
        self.data = b""
        self.server: socketserver.ThreadingTCPServer | None = None

    @contextmanager
    def giving(self, data: bytes) -> Iterator[str]:
        """Answer with `data`; yields the server's address."""
        self.data = data
        if self.server is None:
            self.server = self.start()
        yield f"http://127.0.0.1:{self.server.server_address[1]}"

    def start(self) -> socketserver.ThreadingTCPServer:
        answers = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                heard = b""
                while b"\r\n\r\n" not in heard and (more := self.request.recv(65536)):
                    heard += more
                self.request.sendall(answers.data)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                return  # a client that hangs up

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
