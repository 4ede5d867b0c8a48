"""Run a stage as a restricted pod would: arbitrary uid, group 0, read-only root, two writable folders."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UID = 1000660000  # the kind of uid OpenShift gives

SECRETS = {
    "HF_TOKEN": "hf_canary_5f0c1e",
    "AWS_ACCESS_KEY_ID": "AKIACANARY7d21",
    "AWS_SECRET_ACCESS_KEY": "canary/secret/9b1f",
    "OSFT_REGISTRY_TOKEN": "canary-registry-token-33aa",
    "WANDB_API_KEY": "canary-wandb-77cc",
}

ENTER = """
set -e
mount --bind "$OSFT_WORKSPACE" "$OSFT_WORKSPACE"
mount --bind "$TMPDIR" "$TMPDIR"
mount -o remount,bind,ro /
exec setpriv --reuid {uid} --regid 0 --clear-groups --no-new-privs --bounding-set -all,+dac_read_search \
  --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search "$@"
""".replace("{uid}", str(UID))
"""The one capability left lets that uid read a checkout below a private home folder; it writes nothing."""


def executable(stage: str, name: str | None = None) -> str:
    """Return the stage's own console script."""
    return str(ROOT / ".venvs" / stage / "bin" / (name or f"osft-{stage}"))


def stage_env(workspace: Path, scratch: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment that the chart gives to a stage, with every cache below the scratch folder."""
    caches = ("HF_HOME", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR")
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "OSFT_WORKSPACE": str(workspace),
        "TMPDIR": str(scratch),
        "HOME": str(scratch / "home"),
        "MPLCONFIGDIR": str(scratch / "mpl"),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",  # tiny models gain nothing from more, and other tests run beside
        **{name: str(scratch / name.lower()) for name in caches},
        **(extra or {}),
    }


def can_sandbox() -> bool:
    """Return whether this machine lets us make mount namespaces."""
    return os.geteuid() == 0 and bool(shutil.which("unshare")) and bool(shutil.which("setpriv"))


def open_to_group(*folders: Path) -> None:
    """Make folders what a volume with fsGroup 0 is: group 0, group-writable, set-gid."""
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, -1, 0)
            path.chmod(0o2775 if path.is_dir() else 0o664)


def start(command: list[str], env: Mapping[str, str], *, restricted: bool) -> subprocess.Popen[str]:
    """Start a command in its own process group, restricted as a pod where asked."""
    if restricted:
        command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", ENTER, "enter", *command]
    return subprocess.Popen(
        command,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
