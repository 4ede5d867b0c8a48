"""The command line of scripts/build-images."""

import argparse
import fcntl
import os
import re
import shutil
import sys

from osft_images import base, bill, publish
from osft_images.build import REPOSITORY, STAGES, Order, build, revision, source, tidy
from osft_images.store import HOME, ROOT, Failed

INSIDE = "OSFT_IMAGES_INSIDE"
DESCRIPTION = """Build the stage images with buildah, as root, into a store of this checkout, .cache/images.

Unchanged images are not built again. The same commit and base give the same digests."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/build-images",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"{', '.join(STAGES)} (default: all)")
    parser.add_argument(
        "--base",
        default=os.environ.get("BASE_IMAGE") or "debian",
        metavar="IMAGE",
        help="the image to build on, any Debian with Python >= 3.11 and venv; `debian` makes one from "
        "Debian's packages, for which no registry is needed (default: $BASE_IMAGE, or debian)",
    )
    parser.add_argument("--no-cache", action="store_true", help="build every layer again but the base")
    parser.add_argument(
        "--push",
        metavar="REGISTRY[/REPOSITORY]",
        help=f"then push, as REGISTRY/{REPOSITORY}/STAGE, or REGISTRY/REPOSITORY/STAGE",
    )
    parser.add_argument("--tag", help="the tag to push (default: the chart's appVersion)")
    options = parser.parse_args(arguments)
    if unknown := set(options.stages) - set(STAGES):
        parser.error(f"found {', '.join(sorted(unknown))}; expected {', '.join(STAGES)}")
    options.stages = [stage for stage in STAGES if stage in (options.stages or STAGES)]
    return options


def app_version() -> str:
    """Return the version that the chart asks for."""
    chart = (ROOT / "charts/osft-pipeline/Chart.yaml").read_text()
    return re.search(r'(?m)^appVersion: "?([^"\n]+)', chart)[1]  # type: ignore[index]


def main(options: argparse.Namespace) -> None:
    """Build, then push."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two calls at once: the second waits and finds all done
        order = Order(
            base=base.debian() if options.base == "debian" else options.base,
            version=app_version(),
            revision=revision(),
            source=source(),
            cached=not options.no_cache,
        )
        made = [stage for stage in options.stages if build(stage, order)]
        for stage in options.stages:
            if stage in made or not bill.path(stage).exists():
                bill.write(stage, order)
        if made:
            tidy(order)
        if options.push:
            publish.push(options.stages, options.push, options.tag or order.version)


def require(*programs: str) -> None:
    """Look for programs. Raises Failed with those that are missing."""
    if missing := [program for program in programs if not shutil.which(program)]:
        names = " ".join(missing)
        raise Failed(f"{names} is missing. Install it (on Debian: apt-get install {names}).")


def own_mounts() -> None:
    """Go on in its own mount namespace: what buildah mounts ends with it, however it ends.

    Raises:
        Failed: this is not root.
    """
    if os.environ.get(INSIDE) == "1":
        return
    if os.geteuid() != 0:
        raise Failed(f"found user {os.geteuid()}, expected root. Use sudo, or podman: images/README.md.")
    os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv], os.environ | {INSIDE: "1"})


def entry() -> None:
    """Run the command; what the user can fix is one sentence and exit code 2."""
    try:
        options = parse()
        require("buildah", *(["mmdebstrap"] if options.base == "debian" else []))
        own_mounts()
        main(options)
    except Failed as failed:
        print(f"scripts/build-images: {failed}", file=sys.stderr)
        sys.exit(2)
