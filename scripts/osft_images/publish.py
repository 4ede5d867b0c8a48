"""Pushes images and writes down by which digest each is known there."""

import contextlib
import json
import socket
import urllib.request

from osft_images.build import REPOSITORY, local_name
from osft_images.store import HOME, buildah, images, size

DIGESTS = HOME / "digests.json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# Half the time of gzip over gigabytes of CUDA. Everywhere else gzip, which every registry and runtime takes.
QUICK = ("--compression-format", "zstd", "--compression-level", "1")


def of_this_machine(registry: str) -> bool:
    """Return whether a registry has an address of this machine's own, where plain HTTP is safe."""
    host = registry.split("/")[0].rsplit(":", 1)[0].strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def served(name: str, tag: str) -> str:
    """The digest that a registry of this machine's own serves under a tag; empty where it can't be asked."""
    host, _, path = name.partition("/")
    url = f"http://{host}/v2/{path}/manifests/{tag}"
    request = urllib.request.Request(url, headers={"Accept": MANIFEST}, method="HEAD")
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers.get("Docker-Content-Digest") or ""
    return ""


def push(stages: list[str], registry: str, tag: str) -> None:
    """Push the stages' images: one line each, and digests.json, which also keeps what was pushed before.

    A registry of this machine's own is asked first: packing gigabytes to find them there takes a minute.
    """
    prefix = registry if "/" in registry else f"{registry}/{REPOSITORY}"
    local = of_this_machine(prefix)
    options = ["--format", "oci", "--quiet", f"--tls-verify={str(not local).lower()}", *QUICK * local]
    digestfile = HOME / "digest"
    pushed = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for stage in stages:
        local_image, name = local_name(stage), f"{prefix}/{stage}"
        made, bytes_ = images()[local_image], size(local_image)
        entry = {"name": name, "tag": tag, "image": made, "size": bytes_}
        digest = pushed.get(stage, {}).get("digest")
        known = local and pushed.get(stage) == entry | {"digest": digest}
        if not known or served(name, tag) != digest:
            buildah("push", *options, "--digestfile", digestfile, local_image, f"docker://{name}:{tag}")
            digest = digestfile.read_text()
            digestfile.unlink()
        pushed[stage] = entry | {"digest": digest}
        print(f"{name}:{tag}  {digest}  {bytes_ / 1e6:.0f} MB", flush=True)
    DIGESTS.write_text(json.dumps(pushed, indent=1) + "\n")
