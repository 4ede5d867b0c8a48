"""Rows in S3 or a server that speaks it: s3://<bucket>/<key>, or a prefix that several objects share."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from osft_download import net
from osft_download.meter import Meter
from osft_download.readers import SUFFIXES
from osft_download.sources import Address, DataFile, Fetched, Order, Settings
from osft_workspace import UserError

CONNECT_SECONDS = 10.0
CODES = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such key",
    "404": "there is no such key",
    "InvalidAccessKeyId": "the server does not know AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
    "AccessDenied": "these keys may not read it",
    "403": "these keys may not read it",
    "ExpiredToken": "AWS_SESSION_TOKEN has expired",
    "InvalidToken": "AWS_SESSION_TOKEN is not valid",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
}


def fetch(address: Address, order: Order) -> Fetched:
    """Load one object, or every data object below a prefix, in the order of their keys.

    Raises:
        UserError: wrong keys, bucket, key or endpoint.
        Transient: the server cannot be reached or has a problem.
    """
    bucket, _, key = address.rest.partition("/")
    client = connect(order.settings)
    where = f"{address.uri} at {client.meta.endpoint_url}"

    def ask(call: Any) -> Any:
        return net.patiently(order.run, lambda: translated(where, call))

    listed = ask(lambda: list_objects(client, bucket, key))
    if not listed:
        raise UserError(f"{where}: there is no such key.{ask(lambda: neighbours(client, bucket, key))}")
    meter = Meter(order.run, f"loading {address.uri}", sum(size for _, size in listed))
    files, tags = [], []
    for number, (name, _) in enumerate(listed):
        target, before = order.work / f"{number:05d}", meter.done
        tags.append(ask(partial(load, client, bucket, name, target, meter, before)))
        files.append(DataFile(target, PurePosixPath(name).name if len(listed) == 1 else name))
    return Fetched(uri=address.shown, files=files, facts={"etag": tags[0]} if len(tags) == 1 else {})


def connect(settings: Settings) -> Any:
    """A client for the endpoint, with the keys of the environment or the pod's own role.

    Raises:
        UserError: only one of the two keys is set, or the endpoint or the profile is none.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    pair = {name: bool(os.environ.get(name)) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    if any(pair.values()) and not all(pair.values()):
        there, missing = sorted(pair, key=lambda name: not pair[name])
        raise UserError(
            f"{there} is set and {missing} is not. S3 needs both (secrets.s3), or neither and a role."
        )
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=settings.timeout_seconds,
        retries={"max_attempts": 1},  # net.patiently tries again, and says so
        response_checksum_validation="when_required",  # servers other than AWS may not know the new checksums
        s3={"addressing_style": "path"} if settings.s3_endpoint else {},
    )
    try:
        return boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint or None,
            region_name=settings.s3_region or None,
            config=config,
            verify=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE"),
        )
    except (ValueError, BotoCoreError) as error:
        why = str(error).rstrip(".")
        raise UserError(
            f"S3 cannot be used: {why}. Check data.s3.endpoint, data.s3.region and the AWS_* variables."
        ) from error


def translated(where: str, call: Any) -> Any:
    """Call, and turn botocore's errors into the stage's."""
    from botocore import exceptions

    try:
        return call()
    except exceptions.ClientError as error:
        told = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if status >= 500 or status in net.PASSING_STATUS:
            raise net.status_error(where, status) from error
        code = str(told.get("Code", status))
        why = CODES.get(code) or str(told.get("Message", "the server refuses")).rstrip(".")
        raise UserError(f"{where}: {why} ({code}). Check data.uri, data.s3 and secrets.s3.") from error
    except exceptions.NoCredentialsError as error:
        raise UserError(
            f"{where}: no S3 keys. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (secrets.s3), or give the "
            "pod a role."
        ) from error
    except (exceptions.BotoCoreError, OSError) as error:
        known = net.network_error(where, error)
        if known is None and isinstance(error, exceptions.BotoCoreError):
            raise UserError(f"{where}: {str(error).rstrip('.')}. Check data.uri and data.s3.") from error
        if known is None:
            raise
        raise known from error


def list_objects(client: Any, bucket: str, key: str) -> list[tuple[str, int]]:
    """Keys and sizes: the object of exactly this key, or the data objects below it."""
    from botocore.exceptions import ClientError

    below: list[tuple[str, int]] = []
    try:
        for name, size in objects(client, bucket, key):
            if name == key and not key.endswith("/"):
                return [(name, size)]
            if name.startswith(key.rstrip("/") + "/" if key else "") and name.lower().endswith(SUFFIXES):
                below.append((name, size))
    except ClientError as error:
        # Keys that may read and not list are common; reading then says whether the object is there.
        if error.response["Error"]["Code"] == "AccessDenied" and key and not key.endswith("/"):
            return [(key, 0)]
        raise
    return below


def objects(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """All objects below a prefix.

    Raises:
        UserError: the answer is no listing, such as the page of a web server.
    """
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        if "Name" not in page:
            raise UserError(
                f"no S3 server answers at {client.meta.endpoint_url}: it gave no listing of the bucket "
                f"{bucket}. Check data.s3.endpoint (--s3-endpoint)."
            )
        for item in page.get("Contents", []):
            yield item["Key"], item["Size"]


def neighbours(client: Any, bucket: str, key: str) -> str:
    """A few keys that are there, as a sentence."""
    parent = key.rstrip("/").rpartition("/")[0]
    answer = client.list_objects_v2(Bucket=bucket, Prefix=parent, MaxKeys=5)
    names = [item["Key"] for item in answer.get("Contents", [])]
    return f" There are {', '.join(names)}." if names else " The bucket is empty there."


def load(client: Any, bucket: str, key: str, target: Path, meter: Meter, before: int) -> str:
    """Stream one object to a file; returns its ETag. `before` bytes came from the objects before it."""
    meter.at(before)
    answer = client.get_object(Bucket=bucket, Key=key)
    with target.open("wb") as file:
        for piece in answer["Body"].iter_chunks(1 << 20):
            file.write(piece)
            meter.add(len(piece))
    return str(answer.get("ETag", "")).strip('"')
