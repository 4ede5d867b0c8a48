"""What lies in a bucket: keys and sizes, as many as any data set has."""

from collections.abc import Iterator
from typing import Any

from osft_workspace import UserError, excerpt

MOST_OBJECTS = 100_000
MOST_PAGES = 300  # of 1,000 objects, where a server keeps to what S3 does
Object = tuple[str, int | None]
"""A key and its size in bytes; None where only the key is known."""


def list_objects(client: Any, bucket: str, key: str) -> list[Object]:
    """Keys and sizes: the object of exactly this key, or the objects below it."""
    from botocore.exceptions import ClientError

    below: list[Object] = []
    try:
        for name, size in objects(client, bucket, key):
            if name == key and not key.endswith("/"):
                return [(name, size)]
            if name.startswith(key.rstrip("/") + "/" if key else "") and not name.endswith("/"):
                below.append((name, size))
    except ClientError as error:
        # Keys that may read and not list are common; reading then says whether the object is there.
        if error.response["Error"]["Code"] == "AccessDenied" and key and not key.endswith("/"):
            return [(key, None)]
        raise
    return below


def objects(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield all objects below a prefix.

    Raises:
        UserError: the answer is not a listing, such as the page of a web server, or it has no end.
    """
    where, count = f"the S3 server at {client.meta.endpoint_url}", 0
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for number, page in enumerate(pages, 1):
        if "Name" not in page:
            raise UserError(
                f"no S3 server answers at {client.meta.endpoint_url}: it gave no listing of the bucket "
                f"{bucket}. Check data.s3.endpoint (--s3-endpoint)."
            )
        for item in page.get("Contents", []):
            name, size = item.get("Key"), item.get("Size")
            if not (isinstance(name, str) and isinstance(size, int) and size >= 0):
                raise UserError(
                    f"{where} lists an object with the key {excerpt(name)!r} and the size {excerpt(size)}, "
                    "expected a text and a number of bytes. Check data.s3.endpoint."
                )
            yield name, size
        count += len(page.get("Contents", []))
        if number >= MOST_PAGES or count > MOST_OBJECTS:
            raise UserError(
                f"{where} lists {count:,} objects on {number} pages and does not end, expected at most "
                f"{MOST_OBJECTS:,} on {MOST_PAGES}. Name a longer prefix in data.uri, or check the server."
            )


def neighbours(client: Any, bucket: str, key: str) -> str:
    """Return a few keys that are there, as a sentence."""
    parent = key.rstrip("/").rpartition("/")[0]
    answer = client.list_objects_v2(Bucket=bucket, Prefix=parent, MaxKeys=5)
    names = [item["Key"] for item in answer.get("Contents", [])]
    return f" There are {', '.join(names)}." if names else " The bucket is empty there."
