"""Set-up of the chart's tests: schemas from the real modules."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import BIN, ROOT, SOURCE, STAGES


@pytest.fixture(scope="session")
def schemas() -> list[str]:
    """Return kubeconform's flags for the schemas of Trainer 2.3; flags for older ones go before them."""
    subprocess.run([sys.executable, ROOT / "scripts" / "kube-schemas"], check=True)
    return ["-schema-location", str(ROOT / ".cache" / "schemas" / "{{.ResourceKind}}{{.KindSuffix}}.json")]


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive of the chart that the commands of the release workflow make."""
    folder = tmp_path_factory.mktemp("release")
    for name in ("charts", "scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".cache").mkdir()
    (folder / ".cache" / "bin").symlink_to(BIN)
    for number, stage in enumerate(STAGES, 1):
        (folder / f"digest-{stage}").write_text(f"{stage}=sha256:{number:064x}\n")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yaml").read_text())
    commands = [step.get("run", "") for step in workflow["jobs"]["chart"]["steps"]]
    for command in filter(re.compile(r"scripts/pin-images|helm4 package").search, commands):
        env = {**os.environ, "IMAGE_NAME": "registry.example.com/team/osft", "SOURCE": SOURCE}
        subprocess.run(["bash", "-euc", command], cwd=folder, env=env, check=True, capture_output=True)
    (archive,) = (folder / "dist").iterdir()
    return archive
