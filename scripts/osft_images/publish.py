"""Pushes images and writes down by which digest each is known there."""

import json
import socket

from osft_images.build import REPOSITORY, local_name
from osft_images.store import HOME, buildah, size

DIGESTS = HOME / "digests.json"


def of_this_machine(registry: str) -> bool:
    """Whether a registry has an address of this machine's own, where plain HTTP is no risk."""
    host = registry.split("/")[0].rsplit(":", 1)[0].strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def push(stages: list[str], registry: str, tag: str) -> None:
    """Push the stages' images: one line each, and digests.json, which also keeps what was pushed before."""
    prefix = registry if "/" in registry else f"{registry}/{REPOSITORY}"
    options = ["--format", "oci", "--quiet", f"--tls-verify={str(not of_this_machine(prefix)).lower()}"]
    digestfile = HOME / "digest"
    pushed = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for stage in stages:
        name, bytes_ = f"{prefix}/{stage}", size(local_name(stage))
        buildah("push", *options, "--digestfile", digestfile, local_name(stage), f"docker://{name}:{tag}")
        digest = digestfile.read_text()
        pushed[stage] = {"name": name, "tag": tag, "digest": digest, "size": bytes_}
        print(f"{name}:{tag}  {digest}  {bytes_ / 1e6:.0f} MB", flush=True)
    digestfile.unlink()
    DIGESTS.write_text(json.dumps(pushed, indent=1) + "\n")
