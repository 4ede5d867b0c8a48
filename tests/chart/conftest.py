"""Set-up of the chart's tests: schemas from the real modules."""

import subprocess
import sys

import pytest

from tests.chart.rendering import ROOT


@pytest.fixture(scope="session")
def schemas() -> list[str]:
    """kubeconform's flags for the schemas, Trainer 2.3 unless `oldest` folders are put before them."""
    subprocess.run([sys.executable, ROOT / "scripts" / "kube-schemas"], check=True)
    return ["-schema-location", str(ROOT / ".cache" / "schemas" / "{{.ResourceKind}}{{.KindSuffix}}.json")]
