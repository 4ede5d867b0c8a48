"""Rows from a real S3 server."""

import json
import os
import subprocess

import pytest

from tests.stages.download.support import CHAT, End, Stage, chat, download_python, lines, run_all
from tests.support.badhttp import BadHttp
from tests.support.s3 import KEYS, REGION, S3

MORE = lines([chat("More?")])


@pytest.fixture(scope="module", autouse=True)
def objects(s3: S3) -> None:
    contents = {"rows.jsonl": CHAT, "set/b.jsonl": MORE, "set/a/1.jsonl": CHAT, "set/x.md": b"# no data"}
    code = "import boto3, json, sys\n"
    code += "client = boto3.client('s3', endpoint_url=sys.argv[1], region_name=sys.argv[2])\n"
    code += "for key, text in json.load(sys.stdin).items():\n"
    code += "    client.put_object(Bucket='chats', Key=key, Body=text.encode())"
    subprocess.run(
        [download_python(), "-c", code, s3.url, REGION],
        input=json.dumps({name: content.decode() for name, content in contents.items()}),
        env={"PATH": os.environ["PATH"], **KEYS},
        text=True,
        check=True,
    )


def place(s3: S3) -> list[str]:
    """Return the flags that lead to the server."""
    return [f"--s3-endpoint={s3.url}", f"--s3-region={REGION}", "--no-shuffle", "--train-fraction=1"]


def test_an_object_is_loaded_with_its_etag(stage: Stage, s3: S3) -> None:
    end = stage.good("--uri=s3://chats/rows.jsonl", *place(s3), **KEYS)
    assert end.lines("train.jsonl") == CHAT.splitlines()
    (source,) = end.record["details"]["sources"]
    assert source["uri"] == "s3://chats/rows.jsonl"
    assert len(source["etag"]) == 32
    for secret in KEYS.values():
        assert secret not in end.printed + (end.dir / "record.json").read_text()


def test_the_data_objects_below_a_prefix_are_joined_by_key(stage: Stage, s3: S3) -> None:
    end = stage.good("--uri=s3://chats/set", *place(s3), **KEYS)
    assert end.lines("train.jsonl") == [*CHAT.splitlines(), *MORE.splitlines()]
    files = end.record["details"]["sources"][0]["files"]
    assert [file["name"] for file in files] == ["set/a/1.jsonl", "set/b.jsonl"]


MISTAKES = {
    "key": ("s3://chats/row.jsonl", KEYS, "there is no such key. There are rows.jsonl, set/a/1.jsonl"),
    "bucket": ("s3://nowhere/rows.jsonl", KEYS, "there is no such bucket (NoSuchBucket)"),
    "access key": (
        "s3://chats/rows.jsonl",
        KEYS | {"AWS_ACCESS_KEY_ID": "canary-wrong"},
        "No user exists with the provided access key ID (XAdminUserNotFound). Check data.uri, ",
    ),
    "secret key": (
        "s3://chats/rows.jsonl",
        KEYS | {"AWS_SECRET_ACCESS_KEY": "canary-wrong"},
        "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID (SignatureDoesNotMatch)",
    ),
    "one key": (
        "s3://chats/rows.jsonl",
        {"AWS_ACCESS_KEY_ID": "canary-access"},
        "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not. S3 needs both (secrets.s3)",
    ),
    "profile": (
        "s3://chats/rows.jsonl",
        {"AWS_PROFILE": "nope"},
        "S3 cannot be used: The config profile (nope) could not be found. Check data.s3.endpoint",
    ),
    "no key": (
        "s3://chats/rows.jsonl",
        {"AWS_EC2_METADATA_DISABLED": "true"},
        "no S3 keys. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (secrets.s3), or give the pod a role.",
    ),
}
ENDPOINTS = {
    "http://127.0.0.1:9": (75, "at http://127.0.0.1:9 refused the connection, 4 times"),
    "127.0.0.1:9": (2, "S3 cannot be used: Invalid endpoint: 127.0.0.1:9. Check data.s3.endpoint"),
}


@pytest.fixture(scope="module")
def ends(shared_stage: Stage, s3: S3) -> dict[str, End]:
    starts = {name: (["--uri", uri, *place(s3)], keys) for name, (uri, keys, _) in MISTAKES.items()}
    for endpoint in ENDPOINTS:
        starts[endpoint] = (["--uri=s3://chats/rows.jsonl", f"--s3-endpoint={endpoint}"], KEYS)
    return run_all(shared_stage, starts)


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_each_mistake_has_its_own_message(ends: dict[str, End], mistake: str) -> None:
    assert MISTAKES[mistake][2] in ends[mistake].failed(2)
    assert "canary-wrong" not in ends[mistake].printed


def test_a_web_server_is_not_taken_for_s3(stage: Stage, bad: BadHttp) -> None:
    sentence = stage.run("--uri=s3://chats/rows.jsonl", f"--s3-endpoint={bad.url}/page", **KEYS).failed(2)
    assert f"no S3 server answers at {bad.url}/page: it gave no listing of the bucket chats." in sentence


@pytest.mark.parametrize("endpoint", list(ENDPOINTS))
def test_an_endpoint_without_a_server_has_its_own_message(ends: dict[str, End], endpoint: str) -> None:
    code, sentence = ENDPOINTS[endpoint]
    assert sentence in ends[endpoint].failed(code)
