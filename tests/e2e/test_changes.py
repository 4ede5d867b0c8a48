"""Upgrades, rollbacks, uninstalls, dead clients: what is done stays done, and nothing is left behind."""

import signal
import subprocess

import pytest

from tests.e2e.harness import BIN, HOOKS, ORDERINGS, WAITING, Release, Space, eventually


def started(release: Release, stage: str) -> bool:
    """Whether a stage's pod runs."""
    return any(pod["status"].get("phase") == "Running" for pod in release.pods(stage))


def left_over(release: Release) -> list[str]:
    """Everything of the release that is still there, but the claim."""
    kinds = "trainjobs,trainingruntimes,jobsets,jobs,pods,services,secrets,configmaps,serviceaccounts,roles"
    kinds += ",networkpolicies"
    found = release.space.get(kinds, f"--selector=app.kubernetes.io/instance={release.name}")
    return [f"{item['kind']}/{item['metadata']['name']}" for item in found]


def test_upgrades(space: Space) -> None:
    """Unchanged values: nothing runs. Changed ones: a new run beside the old. Rollback: none twice."""
    release = space.release(eval={"enabled": False})
    assert release.install().returncode == 0
    release.complete()
    first, uid = release.run, release.trainjob["metadata"]["uid"]
    same = release.upgrade()
    assert same.returncode == 0, same.stderr
    assert release.trainjob["metadata"]["uid"] == uid
    changed = release.upgrade(train={"epochs": 2})
    assert changed.returncode == 0, changed.stderr
    second = release.run
    assert second != first
    release.complete()
    steps = {run: release.record("train", run)["metrics"]["steps"] for run in (first, second)}
    assert steps[second] == 2 * steps[first]
    back = release.command("rollback", "1")
    assert back.returncode == 0, back.stderr
    assert release.run == first
    release.complete()
    for pod in release.pods():
        if pod["metadata"]["labels"]["osft-pipeline/run"] == first:
            assert "already done" in space.kubectl("logs", pod["metadata"]["name"]).stdout


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_uninstall_leaves_only_the_claim(space: Space, ordering: str) -> None:
    """In the middle of training and after the end; the next install takes the workspace up again."""
    release = space.release(**ORDERINGS[ordering], train={"epochs": 12})
    client = background_install(release)
    assert eventually(lambda: started(release, "train"), 180), release.story()
    gone = release.uninstall()
    assert gone.returncode == 0, gone.stderr
    # Helm 4 goes on waiting for a hook that has been deleted, as long as its --timeout.
    client.terminate()
    client.wait(60)
    assert eventually(lambda: not left_over(release), 60) is True, left_over(release)
    assert [claim["metadata"]["name"] for claim in space.get("pvc")] == [release.claim]
    again = space.release(**ORDERINGS[ordering], train={"epochs": 12}, eval={"enabled": False})
    assert again.install(WAITING).returncode == 0
    again.complete()
    [download] = again.pods("download")
    assert "already done" in space.kubectl("logs", download["metadata"]["name"]).stdout
    assert again.uninstall().returncode == 0
    assert eventually(lambda: not left_over(again), 60) is True, left_over(again)


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_uninstall_before_anything_ran(space: Space, ordering: str) -> None:
    """Right after the install, which in hooks ordering is stopped for it; after a preflight that failed."""
    release = space.release(**ORDERINGS[ordering])
    if ordering == "hooks":
        client = background_install(release)
        assert eventually(lambda: release.command("status").returncode == 0, 60, every=0.1)
        client.terminate()
        client.wait(60)
    else:
        assert release.install().returncode == 0
    gone = release.uninstall()
    assert gone.returncode == 0, gone.stderr
    assert eventually(lambda: not left_over(release), 60) is True, left_over(release)
    refused = space.release(**ORDERINGS[ordering], secrets={"hf": {"existing": "nowhere"}})
    assert refused.install(WAITING).returncode == 1
    assert refused.uninstall().returncode == 0
    assert eventually(lambda: not left_over(refused), 60) is True, left_over(refused)


def test_a_client_killed_in_hooks_ordering(space: Space) -> None:
    """The stage that runs ends, no other starts, upgrades fail; uninstall and install go on where it was."""
    release = space.release(**HOOKS, train={"epochs": 10})
    client = background_install(release)
    assert eventually(lambda: started(release, "train"), 180), release.story()
    client.send_signal(signal.SIGKILL)
    client.wait(30)
    assert release.finish() == "Complete", release.story()
    assert not release.pods("eval")
    refused = release.upgrade()
    assert refused.returncode == 1 and "another operation" in refused.stderr
    assert release.uninstall().returncode == 0
    done = release.install(WAITING)
    assert done.returncode == 0, done.stdout + done.stderr
    [train] = release.pods("train")
    assert "already done" in space.kubectl("logs", train["metadata"]["name"]).stdout


def background_install(release: Release) -> "subprocess.Popen[bytes]":
    """`helm install` that goes on while the test does."""
    words = release.rendering(WAITING)
    command = [str(BIN / release.helm), "install", release.name, "--namespace", release.space.name, *words]
    return subprocess.Popen(
        command, env=release.space.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
