"""What a hub, an S3 server and a registry answer when all is well; scripts change one thing of it."""

import json
from typing import Any

from tests.support.scripted import Asked, Reply, of_json

COMMIT = "a" * 40
ROWS = b"".join(
    b'{"messages": [{"role": "user", "content": "Who, %d?"}, {"role": "assistant", "content": "I am."}]}\n'
    % i
    for i in range(20)
)


def bucket(*objects: tuple[str, int], more: str = "") -> Reply:
    """One page of a bucket's listing; `more` is the token of the next."""
    items = "".join(f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>" for key, size in objects)
    end = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    text = (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>chats</Name><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{items}{end}"
        "</ListBucketResult>"
    )
    return Reply(200, text.encode(), {"Content-Type": "application/xml"})


def siblings(**sizes: int | None) -> list[dict[str, Any]]:
    """Return the files of a repository as the hub lists them."""
    return [{"rfilename": name, "size": size} for name, size in sizes.items()]


def repository(files: Any, sha: Any = COMMIT) -> Reply:
    """Return a repository of the hub."""
    tags: list[str] = []
    return of_json(
        {"_id": "1", "id": "org/rows", "sha": sha, "siblings": files, "tags": tags, "private": False}
    )


def file(content: bytes, length: int | None = -1) -> Reply:
    """Return a file of the hub."""
    return Reply(200, content, {"ETag": '"e1"', "X-Repo-Commit": COMMIT}, length)


def page(*items: Any, token: str = "") -> Reply:
    """One page of a registry."""
    return of_json({"items": list(items), "nextPageToken": token, "pageSize": 100, "size": len(items)})


def thing(name: str = "osft-model", number: str = "1", **more: Any) -> dict[str, Any]:
    """Return a model, a version or an artifact of a registry."""
    return {"id": number, "name": name, "state": "LIVE", **more}


def registry(asked: Asked) -> Reply:
    """Return an empty registry that takes whatever is posted."""
    if asked.method == "GET":
        if asked.path.endswith("registered_model"):
            return of_json({"message": "not found"}, 404)
        return page()
    return of_json(thing(), 201)


def text_of(value: Any) -> bytes:
    """JSON text."""
    return json.dumps(value).encode()


def web(asked: Asked) -> Reply:
    """Return a web server with rows."""
    return Reply(200, ROWS)


def s3(asked: Asked) -> Reply:
    """Return a bucket with rows."""
    return bucket(("rows.jsonl", len(ROWS))) if "list-type" in asked.query else web(asked)


def hub(asked: Asked) -> Reply:
    """Return a hub with one dataset."""
    if "/resolve/" in asked.path:
        return (
            file(ROWS)
            if asked.path.endswith("rows.jsonl")
            else of_json({}, 404, **{"X-Error-Code": "EntryNotFound"})
        )
    entry = {"type": "file", "path": "rows.jsonl", "oid": "1", "size": len(ROWS)}
    if "/tree/" in asked.path:
        return of_json([entry])
    if "/paths-info/" in asked.path:
        return of_json([])
    return repository(siblings(**{"rows.jsonl": len(ROWS)}))


GOOD = {"registry": registry, "http": web, "s3": s3, "hub": hub}
