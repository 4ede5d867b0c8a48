"""A base image out of Debian packages, for machines that no registry of images can be reached from."""

import hashlib
import os
import subprocess
from pathlib import Path

from osft_images.store import EPOCH, HOME, Failed, buildah, images

PACKAGES = "usr-is-merged,python3,python3-venv,ca-certificates,tzdata"
COMMAND = [
    *("mmdebstrap", "--quiet", "--variant=apt", f"--include={PACKAGES}"),
    # Without it usrmerge comes, and 47 MB of perl with it.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    *('--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"'),
    # As the slim images of Debian: no documentation but copyrights, no translations.
    *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"),
    *("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/info/*"),
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    # The name and the network of the machine that built it.
    '--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"',
    *("bookworm", "-"),
]


def debian() -> str:
    """Return the name of the base image in the store, built once for a recipe."""
    key = hashlib.sha256("\0".join(COMMAND).encode()).hexdigest()[:12]
    name = f"localhost/osft-pipeline/base:{key}"
    if name not in images():
        print("images: a base of Debian packages ...", flush=True)
        with_tree(HOME / f"base-{key}.tar", name)
    return name


def with_tree(archive: Path, name: str) -> None:
    """Make the tree of files and turn it into an image."""
    with archive.open("wb") as output:
        # With that variable Debian compiles Python by content, and no file is newer.
        done = subprocess.run(
            COMMAND,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)},
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        archive.unlink()
        end = done.stderr.decode(errors="replace")[-1500:]
        raise Failed(f"mmdebstrap made no base. Give one with --base IMAGE, or fix this:\n{end}")
    recipe = f'FROM scratch\nADD {archive.name} /\nENTRYPOINT []\nCMD ["python3"]\n'
    options = ("--timestamp", str(EPOCH), "--identity-label=false", "--quiet", "--ignorefile", "/dev/null")
    buildah("build", *options, "--tag", name, "--file", "-", archive.parent, feed=recipe)
    archive.unlink()
