"""A store of images of its own, in the checkout, and buildah working on it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / ".cache/images"

# The time of every file and image, the first year that zip can hold. A layer changes with its content only.
EPOCH = 315532800


class Failed(Exception):
    """One sentence for the user."""


def buildah(*arguments: str | Path, feed: str = "") -> str:
    """Return what a buildah command prints.

    Raises:
        Failed: it failed; what it said is in the sentence.
    """
    done = subprocess.run(called(*arguments), input=feed, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"buildah {arguments[0]} ended with {done.returncode}:\n{last_lines(done.stderr)}")
    return done.stdout


def logged(log: Path, environment: dict[str, str], *arguments: str | Path) -> None:
    """Run a buildah command that takes its time; what it says can be read in `log` meanwhile.

    Raises:
        Failed: it failed; the end of the log is in the sentence.
    """
    with log.open("w") as output:
        done = subprocess.run(
            called(*arguments), cwd=ROOT, env=environment, stdout=output, stderr=output, check=False
        )
    if done.returncode:
        where = f"buildah {arguments[0]} ended with {done.returncode}. The end of {log.relative_to(ROOT)}"
        raise Failed(f"{where}:\n{last_lines(log.read_text())}")


def called(*arguments: str | Path) -> list[str | Path]:
    """Return the command line of a buildah that works on this store."""
    return ["buildah", "--root", HOME / "store", "--runroot", HOME / "run", *arguments]


def last_lines(text: str) -> str:
    """Return the end of a long complaint."""
    return "\n".join(text.splitlines()[-12:])


def images() -> dict[str, str]:
    """Return the id of every named image in the store."""
    listed: list[dict[str, Any]] = json.loads(buildah("images", "--json") or "null") or []
    return {name: image["id"] for image in listed for name in image.get("names") or []}


@contextmanager
def files(image: str) -> Iterator[Path]:
    """The folder of an image's files, for as long as it is needed."""
    container = buildah("from", "--pull-never", image).strip()
    try:
        yield Path(buildah("mount", container).strip())
    finally:
        buildah("rm", container)


def size(image: str) -> int:
    """Bytes of an image, its layers unpacked."""
    shown = json.loads(buildah("images", "--json", image))[0]["size"]
    number, unit = shown.split()
    return round(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()])
