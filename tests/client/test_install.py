"""`osft run` on a cluster: what helm reports, and with which exit code the command ends."""

import json
from pathlib import Path

import pytest

from tests.client.local.support import OSFT, call

KUBECONFIG = {
    "apiVersion": "v1", "kind": "Config", "current-context": "c",
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "u", "user": {}}],
    "contexts": [{"name": "c", "context": {"cluster": "a", "user": "u"}}],
}  # fmt: skip
VALUES = "data.uri=hf://org/rows,images.registry=registry.example.com"


@pytest.mark.parametrize("check", [["--no-check"], []])
def test_an_unreachable_cluster_is_exit_code_75(tmp_path: Path, check: list[str]) -> None:
    (tmp_path / "config").write_text(json.dumps(KUBECONFIG))
    env = {"KUBECONFIG": str(tmp_path / "config"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = call(OSFT, "run", "mine", "--set", VALUES, *check, **env)
    assert done.returncode == 75, done.stderr
    assert "connection refused" in done.stderr and "run the same command again" in done.stderr
    assert "Watch it" not in done.stdout


def test_without_a_configured_cluster_the_exit_code_is_2(tmp_path: Path) -> None:
    done = call(OSFT, "run", "mine", "--set", VALUES, "--no-check", KUBECONFIG=str(tmp_path / "none"))
    assert done.returncode == 2, done.stderr


def test_misspelt_values_come_with_similar_names_without_the_checks(tmp_path: Path) -> None:
    done = call(OSFT, "run", "mine", "--set", f"{VALUES},train.epoch=3", "--dry-run")
    assert done.returncode == 2
    assert "train.epoch is not a value of the chart. Did you mean train.epochs?" in done.stderr
