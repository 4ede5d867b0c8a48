"""The client as users install it: from a wheel, in its own environment."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".cache" / "uv" / "bin" / "uv"


def install_wheel(folder: Path) -> Path:
    """Install the client's wheel and its locked requirements below a folder; return the command `osft`."""
    build = [UV, "build", "--quiet", "--wheel", "--build-constraints", ROOT / "images" / "build.txt"]
    # Set-up has built the client already: all that is needed lies in the cache.
    env = {**os.environ, "UV_OFFLINE": "1", "VIRTUAL_ENV": str(folder / "venv")}
    subprocess.run([*build, "--out-dir", folder, ROOT / "client"], check=True, env=env)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([UV, "venv", "--quiet", folder / "venv"], check=True, env=env)
    pip = [UV, "pip", "--quiet"]
    locked = ROOT / "client" / "requirements.txt"
    subprocess.run([*pip, "sync", "--require-hashes", locked], check=True, env=env)
    subprocess.run([*pip, "install", "--no-deps", wheel], check=True, env=env)
    return folder / "venv" / "bin" / "osft"
