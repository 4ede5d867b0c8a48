"""Brings the stages' libraries to a machine without network: collected as wheels, and installed there.

The machine has torch with its CUDA libraries and the large libraries of numbers. Everything else comes from
the locks of the stages. One environment serves all stages.
"""

import re
import site
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from osft_gpu.stages import ROOT

STAGES = ("download", "train", "eval")
"""In this order: of a package that two locks pin, the first one's version is taken."""
THERE = (
    "torch|torchvision|triton|nvidia-.*|cuda-.*|sympy|mpmath|networkx|ninja|setuptools|wheel|"  # torch
    "numpy|pandas|pyarrow|numba|llvmlite|scipy|scikit-learn|joblib|threadpoolctl|lxml|"  # numbers
    "matplotlib|contourpy|cycler|fonttools|kiwisolver|pillow|pyparsing|psutil"  # drawing
)
"""Packages that the machine must have, in any version."""
LEFT_OUT = (
    "wandb|mlflow-skinny|databricks-sdk|opentelemetry-.*|s3fs|aiobotocore|cryptography|hf-xet|timm|pytest|"
    "py-cpuinfo"
)
"""Packages that nothing here needs."""
FROM_SOURCE = ("rouge-score", "sqlitedict", "word2number")
"""Pure Python packages that are published without wheels."""
PLATFORMS = [f"manylinux_2_{glibc}_x86_64" for glibc in (28, 27, 24, 17, 12, 5)]
SCRIPT = "#!{python}\nimport sys\nfrom osft_{stage}.cli import main\nsys.exit(main())\n"


def collect(folder: Path, python: str) -> str:
    """Download the wheels for a Python version on x86-64 into a folder; return what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pinned(python)
    ready = [one for name, one in wanted.items() if name not in FROM_SOURCE]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    target = ["--python-version", python, "--implementation", "cp", "--only-binary=:all:"]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    subprocess.run([*pip, "download", "--no-deps", "--dest", folder, *target, *platforms, *ready], check=True)
    built = [one for name, one in wanted.items() if name in FROM_SOURCE]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, *built], check=True)
    files = list(folder.glob("*.whl"))
    for path in files:
        trim(path)
    size = sum(path.stat().st_size for path in files) / 2**20
    return f"{len(files)} wheels, {size:.0f} MiB, for Python {python} in {folder}"


def pinned(python: str) -> dict[str, str]:
    """Return `name==version` of each package to carry, by its name."""
    from pip._vendor.packaging.requirements import Requirement

    machine = {
        **{"python_version": python, "python_full_version": f"{python}.0"},
        **{"sys_platform": "linux", "platform_machine": "x86_64"},
    }
    left = re.compile(f"(?:{THERE}|{LEFT_OUT})")
    found: dict[str, str] = {}
    for stage in STAGES:
        for line in (ROOT / "images" / stage / "requirements.txt").read_text().splitlines():
            if not re.match(r"[A-Za-z0-9]", line):
                continue
            one = Requirement(line.rstrip("\\ "))
            if not left.fullmatch(one.name) and (one.marker is None or one.marker.evaluate(machine)):
                found.setdefault(one.name, f"{one.name}{one.specifier}")
    return found


def trim(wheel: Path) -> None:
    """Leave out of a wheel what the images leave out of its package (images/trim.txt)."""
    with zipfile.ZipFile(wheel) as given:
        doomed = {name for name in given.namelist() if is_trimmed(name)}
        if not doomed:
            return
        with zipfile.ZipFile(f"{wheel}.part", "w", zipfile.ZIP_DEFLATED) as kept:
            for name in given.namelist():
                content = given.read(name)
                if name.endswith(".dist-info/RECORD"):
                    lines = content.decode().splitlines(keepends=True)
                    content = "".join(line for line in lines if line.split(",")[0] not in doomed).encode()
                if name not in doomed:
                    kept.writestr(name, content)
    Path(f"{wheel}.part").rename(wheel)


def is_trimmed(name: str) -> bool:
    """Return whether the images leave out a file below site-packages."""
    found, own = False, name.split("/")
    for line in (ROOT / "images" / "trim.txt").read_text().splitlines():
        parts = line.lstrip("!").strip("/").split("/")
        if line and not line.startswith("#") and len(own) >= len(parts) and all(map(fnmatch, own, parts)):
            found = not line.startswith("!")
    return found


def install(folder: Path, environment: Path) -> Path:
    """Make an environment of the wheels and what this Python has, unless it is there; return its folder."""
    scripts = {stage: environment / "bin" / f"osft-{stage}" for stage in STAGES}
    if all(script.exists() for script in scripts.values()):
        return environment
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    scheme = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", vars=scheme))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wheels = sorted(folder.glob("*.whl"))
    subprocess.run(
        [*pip, "--no-index", "--no-deps", "--no-compile", "--target", packages, *wheels], check=True
    )
    # What this Python has comes behind: an environment of an environment would not see it.
    there = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "machine.pth").write_text("\n".join([*own_packages(packages), *there]) + "\n")
    for stage, script in scripts.items():
        script.write_text(SCRIPT.format(python=environment / "bin" / "python", stage=stage))
        script.chmod(0o755)
    return environment


def own_packages(packages: Path) -> list[str]:
    """Return the folders of the stages' own packages, whose names and versions are made known."""
    found = []
    for path in sorted((ROOT / "images").glob("*/pyproject.toml")):
        project = tomllib.loads(path.read_text())["project"]
        facts = packages / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        facts.mkdir()
        names = f"Name: {project['name']}\nVersion: {project['version']}\n"
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\n{names}")
        found.append(str(path.parent))
    return found
