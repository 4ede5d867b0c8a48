"""Rows in S3, a private model, a registry behind TLS and a token: everything from Kubernetes secrets."""

import os
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Space, call, status
from tests.support.hub import GOOD_TOKEN, Hub, Repo
from tests.support.registry import Registry, bearer, make_certificates, proxy

REGISTRY_TOKEN = "registry-token-0123456789"
UPLOAD = (
    "import boto3, sys; s3 = boto3.client('s3', endpoint_url=sys.argv[1]); "
    "s3.create_bucket(Bucket=sys.argv[2]); s3.upload_file(sys.argv[3], sys.argv[2], 'chat/rows.jsonl')"
)


@pytest.fixture
def s3_keys(space: Space) -> dict[str, str]:
    """Keys of the S3 server: the development cluster's, or those of E2E_S3 in the environment."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if not space.place.s3:
        pytest.skip("E2E_S3 names no S3 server")
    given = {name: os.environ.get(name, "") for name in names}
    return dict(zip(names, status()["S3 keys"].split(":"), strict=True)) if space.place.ours else given


def test_everything_from_secrets(
    space: Space, registry: Registry, hub: Hub, tiny_model: Path, s3_keys: dict[str, str], tmp_path: Path
) -> None:
    bucket = space.name
    python = ROOT / ".venvs" / "download" / "bin" / "python"
    words = (space.place.s3, bucket, tiny_model / "train.jsonl")
    done = call(python, "-c", UPLOAD, *words, AWS_DEFAULT_REGION="us-east-1", **s3_keys)
    assert done.returncode == 0, done.stderr
    hub.repos["models/team/secret"] = Repo(hub.repos["models/tiny/chat"].files, private=True)
    space.secret("hub", HF_TOKEN=GOOD_TOKEN)
    space.secret("s3", **s3_keys)
    certificates = make_certificates(tmp_path, space.place.host)
    space.secret("registry", TOKEN=REGISTRY_TOKEN)
    space.secret("registry-ca", **{"ca.crt": certificates.ca.read_text()})
    with proxy(
        space.place.registry, before=bearer(REGISTRY_TOKEN), tls=certificates, host=space.place.host
    ) as address:
        release = space.release(
            model={"uri": "hf://team/secret"},
            data={
                "uri": f"s3://{bucket}/chat/",
                "s3": {"endpoint": space.place.s3, "region": "us-east-1"},
            },
            eval={"enabled": False},
            register={"address": address, "tls": {"caSecret": "registry-ca"}},
            secrets={
                "hf": {"existing": "hub"}, "s3": {"existing": "s3"},
                "registry": {"existing": "registry", "key": "TOKEN"},
            },
        )  # fmt: skip
        assert release.install().returncode == 0
        release.complete()
    assert len(registry.versions(space.name)) == 1
