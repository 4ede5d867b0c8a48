"""Builds the image of a stage, unless the one in the store was made from these very files."""

import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from osft_images.store import EPOCH, HOME, ROOT, buildah, images, logged

STAGES = ("download", "train", "eval", "register")
REPOSITORY = "osft-pipeline"
SOURCES = ("images", ":(exclude)images/**/*.md", ":(exclude)images/*.md")
SAME_BYTES = ("--layers", "--identity-label=false", "--timestamp", str(EPOCH))
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


@dataclass(frozen=True)
class Order:
    """What all images of one call are built from."""

    base: str
    version: str
    revision: str
    source: str
    cached: bool = True

    def labels(self) -> str:
        """Return what only this call knows of an image, as lines of a Containerfile."""
        known = {"version": self.version, "revision": self.revision, "source": self.source}
        return "".join(
            f"LABEL org.opencontainers.image.{key}={json.dumps(text)}\n" for key, text in known.items()
        )


def git(*arguments: str) -> str:
    """Return what git says, or nothing outside a checkout."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def revision() -> str:
    """The commit that last changed what images are made of, so that they are the same ones until then."""
    commit = git("log", "-1", "--format=%H", "--", *SOURCES)
    if not commit:
        return "unknown"
    return commit + ("-dirty" if git("status", "--porcelain", "--", *SOURCES) else "")


def source() -> str:
    """Return where the code is, without the name or the token of who fetched it."""
    return re.sub(r"//[^/@]*@", "//", git("remote", "get-url", "origin")) or "unknown"


def local_name(stage: str) -> str:
    """Return the name of a stage's image in the store."""
    return f"localhost/{REPOSITORY}/{stage}:latest"


def fingerprint(stage: str, order: Order, base_id: str) -> str:
    """Return a digest of everything that decides what the image holds."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *SOURCES).split("\0")
    own = ("images/workspace/", "images/rows/", "images/plan/", "images/ops/", f"images/{stage}/")
    digest = hashlib.sha256(
        f"{order.base} {base_id} {order.version} {order.revision} {order.source}".encode()
    )
    for name in sorted(filter(None, listed)):
        if (name.startswith(own) or name.count("/") == 1) and (ROOT / name).is_file():
            digest.update(f"\0{name}\0".encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()


def build(stage: str, order: Order) -> bool:
    """Build a stage's image; says whether there was anything to do."""
    known = images()
    stamp = HOME / f"{stage}.stamp"
    key = fingerprint(stage, order, known.get(order.base, ""))
    made = known.get(local_name(stage), "")
    if order.cached and made and stamp.exists() and stamp.read_text() == f"{key} {made}":
        return False
    print(f"images: {stage} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    without_labels = HOME / f"{stage}.id"
    options = ["--iidfile", str(without_labels), *([] if order.cached else ["--no-cache"])]
    run(order, *options, "--file", f"images/{stage}/Containerfile", stage=stage)
    label(stage, without_labels.read_text(), order)
    without_labels.unlink()
    stamp.write_text(f"{key} {images()[local_name(stage)]}")
    print(f"images: {stage} ready after {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return True


def label(stage: str, image: str, order: Order) -> None:
    """Lay the labels over an image and give it the stage's name.

    Not by --label: buildah writes that into the image of every layer, finds those in its cache whatever their
    labels are, and names them in the history: the digest would tell which commit filled the cache.
    """
    recipe = f"FROM {image.removeprefix('sha256:')}\n{order.labels()}"
    with tempfile.TemporaryDirectory() as empty:
        buildah(
            "build", *SAME_BYTES, "--quiet", "--tag", local_name(stage), "--file", "-", empty, feed=recipe
        )


def run(order: Order, *options: str, stage: str) -> None:
    """Build a Containerfile, the same bytes every time."""
    # chroot: needs no runtime, no cgroups and no network of its own, so that it works inside a container too.
    common = ["build", "--isolation", "chroot", *SAME_BYTES, "--build-arg", f"BASE_IMAGE={order.base}"]
    environment = dict(os.environ)
    if authorities := ssl.get_default_verify_paths().cafile:
        common += ["--secret", f"id=ca.crt,src={authorities}"]
    if index := package_index():
        environment["OSFT_INDEX_URL"] = index
        common += ["--secret", "id=index-url,env=OSFT_INDEX_URL"]
    logged(HOME / f"{stage}.log", environment, *common, *options, "images")


def package_index() -> str:
    """Return the package index that this machine is set to use, if it is not the usual one."""
    for name in INDEX_VARIABLES:
        if os.environ.get(name):
            return os.environ[name]
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def tidy(order: Order) -> None:
    """Remove what a killed build left and the layers of no image, but not uv, for the next build."""
    name = f"localhost/{REPOSITORY}/uv:latest"
    run(order, "--target", "uv", "--tag", name, "--file", "images/download/Containerfile", stage="uv")
    buildah("rm", "--all")
    buildah("rmi", "--prune")
