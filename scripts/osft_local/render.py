"""Renders the chart with helm."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from osft_local.plan import Object
from osft_workspace import UserError

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "osft-pipeline"
OLDEST = (3, 18)


class HelmFailed(UserError):
    """Helm refused; its own words were passed on already."""


def find_helm() -> str:
    """The checkout's own helm, else one on PATH that is new enough."""
    own = ROOT / ".cache" / "bin" / "helm"
    if own.exists():
        return str(own)
    found = shutil.which("helm")
    if found is None:
        raise UserError(
            "helm is missing: neither .cache/bin/helm nor helm on PATH. `scripts/setup helm` builds one."
        )
    shown = subprocess.run([found, "version", "--short"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v(\d+)\.(\d+)", shown)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise UserError(
            f"{found} is helm {shown.strip() or 'of an unknown version'}; 3.18 or later is needed. "
            "`scripts/setup helm` builds one into .cache/bin."
        )
    return found


def render(name: str, flags: Sequence[str]) -> list[Object]:
    """`helm template NAME charts/osft-pipeline FLAGS` as objects. Raises HelmFailed with helm's message."""
    command = [find_helm(), "template", name, str(CHART), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HelmFailed(done.stderr.strip() or f"helm ended with code {done.returncode} and said nothing.")
    things = yaml.safe_load_all(done.stdout)
    return [thing for thing in things if isinstance(thing, dict) and thing.get("kind")]
