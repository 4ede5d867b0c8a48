"""`osft` as users install it: from a wheel that carries the chart, in a folder that is not a checkout."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import Space, call
from tests.support.client_wheel import install_wheel
from tests.support.registry import Registry


@pytest.mark.core
def test_osft_from_a_wheel_runs_follows_and_lists(space: Space, registry: Registry, tmp_path: Path) -> None:
    osft = install_wheel(tmp_path / "client")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    release = space.release()
    _, *values = release.rendering()

    def say(verb: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = ("env", f"--chdir={elsewhere}", osft, verb, *words)
        done = call(*command, **space.env, HF_ENDPOINT=space.place.hub)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    where = ("--namespace", space.name)
    say("run", release.name, *where, *values, "--timeout=10m")
    followed = say("follow", release.name, *where, "--timeout=20m")
    assert "register done" in followed.stdout, followed.stdout
    (run,) = json.loads(say("runs", "--json", "--workspace", elsewhere, *where).stdout)
    assert (run["run"], run["state"]) == (release.run, "done")
    assert [version["name"] for version in registry.versions(space.name)] == [release.run]
