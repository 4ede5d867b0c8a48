"""A model hub on loopback that implements enough of the hub's protocol for the real `huggingface_hub` client.

`Hub` serves what is put into `repos`: `/api/{models,datasets}/<id>[/revision/<rev>]`, `/tree`, `/paths-info`,
`/refs`, and `/resolve/<rev>/<file>` with ETag and X-Repo-Commit. Repositories may be gated or private; it
answers as the real one does: 401 `RepoNotFound` to a stranger, 403 `GatedRepo` to a token without access.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support import own_port

GOOD_TOKEN = "hf_good_0123456789"
STRANGER_TOKEN = "hf_stranger_0123456789"
BRANCHES = ("main", "second")


@dataclass
class Repo:
    """One repository: its files, branch names -> commits, and who may read it."""

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    refs: dict[str, str] = field(default_factory=lambda: {"main": "a" * 40})
    etag: str = ""
    """Of every file; empty: the digest of its content."""


class Hub:
    """Serves `repos`, named like `models/org/name` or `datasets/org/name`, until `close`."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.repos: dict[str, Repo] = {}
        self.asked: list[str] = []
        self.failing = 0
        """How many of the next requests are answered 503."""
        hub = self

        class Handler(HubHandler):
            server_hub = hub

        class Server(ThreadingHTTPServer):
            allow_reuse_port = True

        self.server = Server((host, own_port.take() if host == own_port.HOST else 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server.server_port}"

    def env(self, token: str | None = None) -> dict[str, str]:
        """Return what points the client here."""
        return {"HF_ENDPOINT": self.url, **({"HF_TOKEN": token} if token else {})}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        own_port.leave(self.server.server_port)


class HubHandler(BaseHTTPRequestHandler):
    """One request."""

    server_hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_HEAD(self) -> None:
        self.serve()

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def serve(self) -> None:
        """Route by path; the body of a POST is a form or JSON with `paths`."""
        length = int(self.headers.get("content-length") or 0)
        self.body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.server_hub.asked.append(f"{self.command} {path}")
        if self.server_hub.failing > 0:
            self.server_hub.failing -= 1
            return self.answer(503, {"error": "Service Unavailable"})
        api = path.startswith("/api/")
        parts = path.removeprefix("/api/").strip("/").split("/")
        if not api and parts[0] != "datasets":
            parts.insert(0, "models")
        key, rest = "/".join(parts[:3]), parts[3:]
        repo = self.allowed(key)
        if repo is None:
            return None
        verb = rest[0] if rest else "revision"
        if verb == "refs":
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": c}
                for name, c in repo.refs.items()
            ]
            return self.answer(200, {"branches": branches, "converts": [], "tags": []})
        revision = rest[1] if len(rest) > 1 else "main"
        commit = repo.refs.get(revision, revision if revision in repo.refs.values() else None)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if verb == "resolve":
            return self.resolve(repo, commit, "/".join(rest[2:]))
        if verb == "tree":
            return self.tree(repo, "/".join(rest[2:]))
        if verb == "paths-info":
            return self.answer(
                200, [entry for path in self.paths() for entry in entries(repo, path, exact=True)]
            )
        siblings = [{"rfilename": name, "size": len(data)} for name, data in repo.files.items()]
        name = "/".join(key.split("/")[1:])
        return self.answer(
            200,
            {
                "_id": "1",
                "id": name,
                "sha": commit,
                "siblings": siblings,
                "tags": [],
                "private": repo.private,
                "gated": repo.gated,
                "downloads": 0,
                "likes": 0,
            },
        )

    def allowed(self, key: str) -> Repo | None:
        """Return the repository when this request may read it; otherwise it is answered here."""
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        repo = self.server_hub.repos.get(key)
        if token not in ("", GOOD_TOKEN, STRANGER_TOKEN):
            self.refuse(401, None, "Invalid credentials in Authorization header")
        elif repo is None or (repo.private and token != GOOD_TOKEN):
            self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        elif repo.gated and token != GOOD_TOKEN and re.search("/resolve/|/auth-check$", self.path):
            self.refuse(403 if token else 401, "GatedRepo", f"Access to {key} is restricted.")
        else:
            return repo
        return None

    def resolve(self, repo: Repo, commit: str, name: str) -> None:
        """A file's bytes, or a part of them."""
        data = repo.files.get(name)
        if data is None:
            return self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        headers = {
            "ETag": f'"{repo.etag or hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        start = self.headers.get("range", "").removeprefix("bytes=").split("-")[0]
        if start and self.command == "GET":
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return self.send(206, data[int(start) :], headers)
        return self.send(200, data, headers)

    def tree(self, repo: Repo, folder: str) -> None:
        """The entries of a folder, or 404."""
        deep = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() in ("true", "1")
        found = entries(repo, folder, deep=deep)
        if not found and folder:
            return self.refuse(404, "EntryNotFound", f"{folder} does not exist")
        return self.answer(200, found)

    def paths(self) -> list[str]:
        """Return the `paths` field of a form or JSON body."""
        if self.headers.get("content-type", "").startswith("application/json"):
            wanted = json.loads(self.body)["paths"]
            return [wanted] if isinstance(wanted, str) else list(wanted)
        return parse_qs(self.body.decode()).get("paths", [])

    def refuse(self, status: int, code: str | None, message: str, more: dict[str, str] | None = None) -> None:
        """An error as the hub words it."""
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(more or {})}
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def answer(self, status: int, value: Any) -> None:
        """A JSON answer."""
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Status, headers, and the body unless only the head is wanted."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def entries(repo: Repo, folder: str, *, deep: bool = True, exact: bool = False) -> list[dict[str, Any]]:
    """Return what lies at or below a path, as the hub lists it."""
    prefix = folder.rstrip("/") + "/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for name, data in sorted(repo.files.items()):
        if exact and name == folder:
            found[name] = file_entry(name, data)
        elif name.startswith(prefix):
            first, _, more = name[len(prefix) :].partition("/")
            if exact:
                found[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            elif more:
                path = prefix + first
                found[path] = {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
                if deep:
                    found[name] = file_entry(name, data)
            else:
                found[name] = file_entry(name, data)
    return list(found.values())


def file_entry(name: str, data: bytes) -> dict[str, Any]:
    """One file as the hub lists it."""
    return {"type": "file", "path": name, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
