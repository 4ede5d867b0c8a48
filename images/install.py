"""Puts locked packages into the environment of an image, /opt/osft, the same bytes every time.

    install.py uv | lock FILE | compiler | own

The Containerfiles run it in the base image's Python while they build; no image keeps uv or pip. What they
have in common:

- `BASE_IMAGE` is any Debian-like image with Python >= 3.11 and venv.
- What a step reads is copied, not mounted: podman's cache looks into copies only.
- A private certificate authority or index comes as a secret, `--secret id=ca.crt,src=...` or
  `--secret id=index-url,src=...`, so that nothing of it stays in a layer.
- Our own packages are copied last: they change with every commit, what stands above does not.
- Version, revision and source come by --label, or from scripts/build-images: podman's cache ignores build
  arguments. For the same reason the name of the stage is not one.
"""

import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Mapping
from pathlib import Path

PREFIX = Path("/opt/osft")
UV = Path("/opt/uv")
RECIPE = Path(__file__).parent
SECRETS = Path("/run/secrets")
SOURCES = Path("/src")
SCRATCH = Path("/tmp/install")
WORKSPACE = Path("/workspace")
APT_LEAVES = ("lib/apt/lists", "cache/apt", "cache/debconf", "cache/ldconfig", "log")


def environment() -> dict[str, str]:
    """Return what pip and uv are to know: no caches, no other Pythons, and the builder's secrets."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(SCRATCH),
        "TMPDIR": str(SCRATCH),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": "315532800",  # 1980, the first year that a wheel, a zip file, can hold
        "PIP_NO_CACHE_DIR": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CACHE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
    }
    variables |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    if (authority := SECRETS / "ca.crt").exists():
        variables |= {"PIP_CERT": str(authority), "SSL_CERT_FILE": str(authority)}
    if (index := SECRETS / "index-url").exists():
        url = index.read_text().strip()
        variables |= {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url}
    return variables


def run(*command: str | Path, variables: Mapping[str, str] | None = None) -> None:
    """Run a command; its failure is the build's."""
    if status := subprocess.run(command, env=variables or environment(), check=False).returncode:
        sys.exit(status)


def uv(*arguments: str | Path) -> None:
    """Run uv."""
    run(UV / "bin/uv", "--no-progress", *arguments)


def install_uv() -> None:
    """Install uv into its own environment."""
    run(sys.executable, "-m", "venv", UV)
    run(UV / "bin/pip", "install", "--quiet", "--require-hashes", "--requirement", RECIPE / "build.txt")


def install_lock(lock: str) -> None:
    """Make the environment hold what the lock says; what an earlier layer installed of it stays untouched."""
    if not WORKSPACE.exists():  # any uid with group 0 may run the image; the chart mounts the workspace there
        WORKSPACE.mkdir()
        WORKSPACE.chmod(0o2775)
    constraints = ("--build-constraints", RECIPE / "build.txt")
    uv("pip", "sync", "--python", PREFIX, "--require-hashes", *constraints, RECIPE / lock)
    trim(site_packages())


def install_compiler() -> None:
    """Install what Triton needs at run time to compile the launchers of its GPU kernels."""
    header = Path(sysconfig.get_path("include"), "Python.h")  # Debian has it in a package of its own
    packages = ["gcc", "libc6-dev", *([] if header.exists() else ["libpython3-dev"])]
    run("apt-get", "update", variables=os.environ)
    run("apt-get", *"install --yes --no-install-recommends".split(), *packages, variables=os.environ)
    for folder in APT_LEAVES:
        for path in Path("/var", folder).iterdir():
            remove(path)


def install_own() -> None:
    """Install packages of this repository; by pip, because uv records when a wheel was made here."""
    wheels = SCRATCH / "wheels"
    for folder in SOURCES.iterdir():
        uv("build", "--quiet", "--offline", "--wheel", "--out-dir", wheels, folder)
    names = sorted(wheel.name.partition("-")[0] for wheel in wheels.glob("*.whl"))
    options = f"--quiet --no-compile --no-index --find-links {wheels} --no-deps".split()
    run(UV / "bin/pip", "--python", PREFIX / "bin/python", "install", *options, *names)


def site_packages() -> Path:
    """Return where the environment's packages are."""
    return next(PREFIX.glob("lib/python3*/site-packages"))


def trim(packages: Path) -> None:
    """Remove what trim.txt names."""
    doomed: set[Path] = set()
    for line in (RECIPE / "trim.txt").read_text().splitlines():
        if line.startswith("!"):
            doomed.difference_update(packages.glob(line[1:]))
        elif line and not line.startswith("#"):
            doomed.update(packages.glob(line))
    for path in doomed:
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder; being gone already is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def compile_all() -> None:
    """Compile what is not yet: nothing can be written beside the code at run time.

    One process in one order, because what Python writes depends on what it has read before; by content,
    because a layer does not keep the times.
    """
    warnings.simplefilter("ignore", SyntaxWarning)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for source in sorted(site_packages().rglob("*.py")):
        if not (source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc").exists():
            try:
                py_compile.compile(str(source), doraise=True, invalidation_mode=mode)
            except (py_compile.PyCompileError, UnicodeDecodeError):
                continue  # a template or an example for another Python; nothing imports it


def main(part: str, *names: str) -> None:
    """Do one part of a build and leave no more than its result."""
    if part == "compiler":
        install_compiler()
        return
    left = [SCRATCH, PREFIX / ".lock"]
    SCRATCH.mkdir()
    if not UV.exists():
        left += [] if part == "uv" else [UV]
        install_uv()
    if part != "uv":
        if not (PREFIX / "pyvenv.cfg").exists():
            uv("venv", "--quiet", "--python", sys.executable, PREFIX)
        if part == "lock":
            install_lock(*names)
        else:
            install_own()
        compile_all()
    for path in left:
        remove(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
