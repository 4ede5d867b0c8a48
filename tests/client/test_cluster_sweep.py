"""`osft sweep` on a cluster, of which stand-ins for helm and kubectl answer as one whose runs are done."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import RUN, Object, render
from tests.client.claim import Cluster, finished, pod_meta, running
from tests.client.test_package import HELM
from tests.support.client_wheel import install_wheel
from tests.support.compared import make_run

BASE: dict[str, Any] = {"data": {"uri": "hf://a/b"}, "images": {"registry": "registry.example.com"}}
RECORDING = """\
#!/bin/sh
# Renders as helm does, and records an installation in place of making it.
case $1 in
  upgrade) echo "$@" >> "{folder}/installed" ;;
  *) exec "{helm}" "$@" ;;
esac
"""
Sweep = Callable[..., tuple[subprocess.CompletedProcess[str], list[list[str]]]]


@pytest.fixture(scope="module")
def osft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command from a wheel, which takes helm from PATH."""
    return install_wheel(tmp_path_factory.mktemp("package"))


def release(name: str, ratio: float, claim: str) -> tuple[str, list[Object]]:
    """Return the run id of a release, and what it left on the cluster when it was done."""
    values = {**BASE, "train": {"unfreezeRankRatio": ratio}, "workspace": {"existingClaim": claim}}
    things = [
        one for one in render(values, name=name) if one["kind"] in ("TrainJob", "TrainingRuntime", "Job")
    ]
    for one in things:
        one["metadata"] |= {"namespace": "team", "uid": "x", "creationTimestamp": "2026-11-21T16:00:00Z"}
    run = next(one["metadata"]["labels"][RUN] for one in things if one["kind"] == "TrainJob")
    return run, finished(things)


@pytest.fixture
def sweep(tmp_path: Path, osft: Path) -> Sweep:
    """Return what the command said and how it called helm; `claim` is workspace.existingClaim."""

    def start(*words: str, claim: str = "") -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
        releases = [
            release(f"ratio-{number}", 0.1 * number, claim or ("ratio-1-workspace" if number == 2 else ""))
            for number in (1, 2)
        ]
        cluster = Cluster(tmp_path, [one for _, things in releases for one in things])
        mode = {"metadata": {"name": "x"}, "spec": {"accessModes": ["ReadWriteMany"]}}
        cluster.answer("get persistentvolumeclaim", out=mode)
        cluster.answer("get pod ratio-", out={**running(), "metadata": pod_meta()})
        for number, (run, _) in enumerate(releases, start=1):
            make_run(cluster.claim, run, fall=float(number), unfreeze_rank_ratio=0.1 * number)
        (tmp_path / "helm").write_text(RECORDING.format(folder=tmp_path, helm=HELM))
        (tmp_path / "helm").chmod(0o755)
        base = {**BASE, "workspace": {"existingClaim": claim}}
        text = {"name": "ratio", "base": base, "vary": {"train.unfreezeRankRatio": [0.1, 0.2]}}
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(text))
        done = cluster(
            "sweep", "-f", tmp_path / "sweep.yaml", "-n", "team", "--no-check", *words, program=osft
        )
        return done, [line.split() for line in (tmp_path / "installed").read_text().splitlines()]

    return start


def test_the_runs_of_a_cluster_share_the_claim_of_the_first_and_are_compared(
    sweep: Sweep, tmp_path: Path
) -> None:
    done, (first, second) = sweep("--timeout=1h")
    assert done.returncode == 0, done.stdout + done.stderr
    assert first[:3] == ["upgrade", "--install", "ratio-1"] and second[2] == "ratio-2"
    shared = "workspace.existingClaim=ratio-1-workspace"
    assert shared in second and shared not in first
    assert all("--namespace=team" in words and words[-1] == "--timeout=1h" for words in (first, second))
    assert "2 runs of 2 done." in done.stdout and "Ship ratio-2-" in done.stdout
    assert (tmp_path / "here" / "ratio.html").is_file()
    calls = [json.loads(line)[0] for line in (tmp_path / "calls").read_text().splitlines()]
    assert [words[0] for words in calls].count("create") == 2, "a pod reads the files of each run"


def test_in_parallel_all_runs_are_installed_before_any_is_waited_for(sweep: Sweep) -> None:
    done, installed = sweep("--parallel", claim="shared")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [words[2] for words in installed] == ["ratio-1", "ratio-2"]
    assert not any("existingClaim" in word for words in installed for word in words)
    heads = [line for line in done.stdout.splitlines() if line.startswith("Run ")]
    assert [head.split()[1] for head in heads] == ["1", "2", "1", "2"]


def test_every_run_continues_the_earlier_one(sweep: Sweep) -> None:
    done, installed = sweep("--continue=task1", claim="shared")
    assert "Traceback" not in done.stderr, done.stderr
    assert [words[2] for words in installed] == ["ratio-1", "ratio-2"]
    assert all("model.fromRun=task1" in words for words in installed)


@pytest.mark.parametrize("flag", ["--set=train.seed=3", "--values=other.yaml", "--reuse-values"])
def test_values_as_options_of_helm_are_refused(sweep: Sweep, tmp_path: Path, flag: str) -> None:
    (tmp_path / "installed").touch()
    done, installed = sweep(flag)
    assert done.returncode == 2 and not installed, done.stderr
    assert f"{flag.partition('=')[0]} sets values of all runs" in done.stderr
