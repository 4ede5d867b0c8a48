"""Leaves the bill of materials of an image beside the store, .cache/images/<stage>.cdx.json."""

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from osft_images.build import REPOSITORY, Order, git, local_name
from osft_images.store import EPOCH, HOME, ROOT, Failed, files, images

HERE = Path(__file__).parent
LOCK = HERE / "requirements.txt"


def path(stage: str) -> Path:
    """Return where the bill of a stage's image is."""
    return HOME / f"{stage}.cdx.json"


def write(stage: str, order: Order) -> None:
    """Write the bill of a stage's image.

    Raises:
        Failed: its tool cannot be installed, or failed.
    """
    commit_time = git("log", "-1", "--format=%ct", order.revision.removesuffix("-dirty"), "--")
    time = datetime.fromtimestamp(int(commit_time or EPOCH), UTC).isoformat()
    identity = images()[local_name(stage)]
    with files(local_name(stage)) as tree:
        name = f"{REPOSITORY}/{stage}"
        text = said(python(), "-I", HERE / "sbom.py", tree, name, order.version, identity, time)
    path(stage).write_text(text)


def python() -> Path:
    """Return the Python that has the tool, installed once for a lock."""
    home, stamp = HOME / "sbom", HOME / "sbom.stamp"
    wanted = f"{home} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = said("scripts/setup", "uv").strip()
        said(uv, "venv", "--quiet", "--clear", home)
        said(uv, "pip", "sync", "--quiet", "--python", home, "--require-hashes", LOCK)
        stamp.write_text(wanted)
    return home / "bin/python"


def said(*command: str | Path) -> str:
    """Return what a command prints. Raises Failed with the end of its complaint."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{Path(command[0]).name} ended with {done.returncode}:\n{done.stderr[-1500:].rstrip()}")
    return done.stdout
