"""Rows in S3 or a compatible server: s3://<bucket>/<key>, or a prefix that several objects share."""

import os
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from osft_download import net
from osft_download.meter import Meter
from osft_download.names import is_data, is_quiet, splits_of
from osft_download.options import Options
from osft_download.sources import Address, DataFile, Fetched, Order, s3_http
from osft_download.sources.s3_listing import Object, list_objects, neighbours
from osft_download.sources.splits import files_of_split
from osft_workspace import UserError, excerpt, printable
from osft_workspace.answers import etag_of, retry_after
from osft_workspace.deadline import TooSlow
from osft_workspace.exits import StageError
from osft_workspace.guard import CONNECT_SECONDS

MISREAD = (TypeError, KeyError, AttributeError, IndexError, ValueError)
"""What boto3 raises where an answer has another shape than it expects."""
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
    client, wire = connect(order.options)
    where = f"{address.uri} at {client.meta.endpoint_url}"

    meter = Meter(order.run, f"loading {address.uri}", None)

    def ask(call: Any) -> Any:
        def bounded() -> Any:
            with net.limited(order.run, where, order.options.timeout_seconds, lambda: meter.done):
                return call()

        return net.with_retries(order.run, lambda: translated(where, bounded))

    listed = ask(lambda: list_objects(client, bucket, key))
    if not listed:
        raise UserError(f"{where}: there is no such key.{ask(lambda: neighbours(client, bucket, key))}")
    split, listed = of_split(order, address, key, listed)
    total = sum(size or 0 for _, size in listed)
    net.room(order.work, where, total)
    meter.expect(total)
    files, tags = [], []
    for number, (name, size) in enumerate(listed):
        target, before = order.work / f"{number:05d}", meter.done
        tags.append(ask(partial(load, client, bucket, (name, size), target, meter, before)))
        files.append(DataFile(target, PurePosixPath(name).name if len(listed) == 1 else name))
    facts = {"split": split, "etag": tags[0] if len(tags) == 1 else "", "loaded_from": wire.moved()}
    return Fetched(uri=address.shown, files=files, facts={name: fact for name, fact in facts.items() if fact})


def of_split(order: Order, address: Address, key: str, listed: list[Object]) -> tuple[str, list[Object]]:
    """Return the split below a prefix that is read, and its objects; an object itself has no split.

    Raises:
        UserError: nothing below the prefix holds rows, or not the split.
    """
    if len(listed) == 1 and listed[0][0] == key:
        return "", listed
    start = len(key.rstrip("/")) + 1 if key else 0
    below = {name[start:]: (name, size) for name, size in listed}
    hidden = [name for name in below if any(part.startswith(".") for part in name.split("/"))]
    data = [name for name in below if is_data(name) and name not in hidden]
    others = [name for name in below if name in data or name in hidden or not is_quiet(name)]
    if not data:
        raise UserError(
            f"{printable(address.uri)}: nothing below this prefix is a file of rows. It holds "
            f"{printable(', '.join(list(below)[:5]), 400)}. Name a prefix or a key that is."
        )
    shown = printable(address.shown)
    split, names = files_of_split(order, shown, splits_of(data), others, "the prefix")
    return (split if len(names) < len(data) else ""), [below[name] for name in names]


def connect(options: Options) -> tuple[Any, s3_http.Wire]:
    """Return a client for the endpoint, with the keys of the environment or the pod's own role, and its wire.

    Raises:
        UserError: only one of the two keys is set, or the endpoint or the profile is not valid.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    s3_http.check_credentials()
    pair = {name: bool(os.environ.get(name)) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    if any(pair.values()) and not all(pair.values()):
        there, missing = sorted(pair, key=lambda name: not pair[name])
        raise UserError(
            f"{there} is set and {missing} is not. S3 needs both (secrets.s3), or neither and a role."
        )
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=options.timeout_seconds,
        retries={"total_max_attempts": 1},  # net.with_retries retries, and logs it
        response_checksum_validation="when_required",  # servers other than AWS may not know the new checksums
        s3={"addressing_style": "path"} if options.s3_endpoint else {},
    )
    verify = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    try:
        client = boto3.client(
            "s3",
            endpoint_url=options.s3_endpoint or None,
            region_name=options.s3_region or None,
            config=config,
            verify=verify,
        )
    except (ValueError, BotoCoreError) as error:
        why = str(error).rstrip(".")
        raise UserError(
            f"S3 cannot be used: {why}. Check data.s3.endpoint, data.s3.region and the AWS_* variables."
        ) from error
    return client, s3_http.bound(client, options.timeout_seconds, verify)


def translated(where: str, call: Any) -> Any:
    """Call, and convert botocore's errors to the stage's."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    misread = (ResponseParserError, *MISREAD)
    try:
        return call()
    except exceptions.ClientError as error:
        told = error.response.get("Error", {})
        facts = error.response.get("ResponseMetadata", {})
        status = int(facts.get("HTTPStatusCode", 0))
        if status >= 500 or status in net.PASSING_STATUS:
            raise net.status_error(where, status, retry_after(facts.get("HTTPHeaders", {}))) from error
        code = str(told.get("Code", status))
        why = CODES.get(code) or str(told.get("Message", "the server refuses")).rstrip(".")
        raise UserError(f"{where}: {why} ({code}). Check data.uri, data.s3 and secrets.s3.") from error
    except exceptions.NoCredentialsError as error:
        raise UserError(
            f"{where}: no S3 keys. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (secrets.s3), or give the "
            "pod a role."
        ) from error
    except exceptions.IncompleteReadError as error:
        seen = f"{where} closed the connection during the object ({error})"
        raise net.Away(seen, "Start again later.") from error
    except StageError:
        raise
    except (exceptions.BotoCoreError, exceptions.HTTPClientError, OSError, TooSlow, *misread) as error:
        known = net.network_error(where, error)
        if known is None and isinstance(error, misread):
            raise UserError(
                f"{where} did not answer as an S3 server does ({type(error).__name__}: "
                f"{excerpt(str(error))}). Check data.s3.endpoint."
            ) from error
        if known is None and isinstance(error, exceptions.BotoCoreError):
            raise UserError(f"{where}: {str(error).rstrip('.')}. Check data.uri and data.s3.") from error
        if known is None:
            raise
        raise known from error


def load(client: Any, bucket: str, listed: Object, target: Path, meter: Meter, before: int) -> str:
    """Stream one object to a file; returns its ETag. `before` bytes came from the objects before it.

    Raises:
        Away: it ends before the size that is listed.
        UserError: it is longer.
    """
    meter.at(before)
    key, size = listed
    answer, where = client.get_object(Bucket=bucket, Key=key), f"the S3 server, asked for {key},"
    most, came = net.room(target.parent, where, size), 0
    with target.open("wb") as file, closing(answer["Body"]) as body:
        for piece in body.iter_chunks(1 << 16):
            came += len(piece)
            if came > most:
                break
            file.write(piece)
            meter.add(len(piece))
    net.check_length(where, came, size if size is not None or came <= most else most)
    return etag_of(answer.get("ETag")).strip('"')
