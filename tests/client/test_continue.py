"""`osft run --continue` on a cluster: the earlier run's claim, and what contradicts it."""

from pathlib import Path

import pytest

from tests.client.claim import Cluster, finished, objects
from tests.client.local.sample import RUN

NEXT = ("run", "next", "-n", "team", "--data=hf://org/rows", "--set=images.registry=r.example", "--dry-run")


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, finished(objects({})))


@pytest.mark.parametrize("earlier", ["demo", RUN])
def test_the_run_gets_the_model_and_the_claim_of_the_earlier_one(cluster: Cluster, earlier: str) -> None:
    done = cluster(*NEXT, "--continue", earlier)
    assert done.returncode == 0, done.stderr
    assert f"--from-run={earlier}" in done.stdout and "--model-uri" not in done.stdout
    assert 'claimName: "demo-workspace"' in done.stdout and "next-workspace" not in done.stdout


def test_the_same_claim_may_be_named(cluster: Cluster) -> None:
    done = cluster(*NEXT, "--continue=demo", "--set=workspace.existingClaim=demo-workspace")
    assert done.returncode == 0, done.stderr


def test_a_run_of_the_same_release_keeps_the_claim_of_the_release(cluster: Cluster) -> None:
    words = [word if word != "next" else "demo" for word in NEXT]
    done = cluster(*words, f"--continue={RUN}")
    assert done.returncode == 0, done.stderr
    assert "kind: PersistentVolumeClaim" in done.stdout  # still the release's own


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--continue=demo", "--set=workspace.existingClaim=other"), "workspace.existingClaim is other"),
        (("--continue=demo", "--set=model.fromRun=task1"), "the values set model.fromRun to 'task1'"),
        (("--continue=demo", "--model=hf://org/base"), "both name the base model"),
        (("--continue=demo", "--set=model.uri=hf://org/base"), "model.fromRun is demo and model.uri is"),
        (("--continue=",), "--continue is empty, expected the run id"),
        (("--continue=task7",), "the claim of run task7 (--continue) is not known"),
    ],
)
def test_other_values_of_the_same_and_unknown_runs_are_refused(
    cluster: Cluster, more: tuple[str, ...], said: str
) -> None:
    done = cluster(*NEXT, *more)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split()) and "Traceback" not in done.stderr


def test_a_claim_that_is_named_is_enough_where_the_release_is_gone(cluster: Cluster) -> None:
    done = cluster(*NEXT, "--continue=task7", "--set=workspace.existingClaim=kept")
    assert done.returncode == 0, done.stderr
    assert 'claimName: "kept"' in done.stdout and "--from-run=task7" in done.stdout
