"""How containers end with `osft run`, by a stand-in for podman whose containers are processes."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.client.local.support import OSFT, call, living, wait_for

# `kill` returns after the container and its client have ended, as it may with a daemon.
PODMAN = """#!/bin/bash
echo "$@" >>"$CALLS"
case $1 in
  container) exit 125 ;;
  run)
    for word; do case $word in --cidfile=*) file=${word#--cidfile=} ;; esac; done
    [[ -z $ENGINE_CODE ]] || { echo "Error: no such device" >&2; exit "$ENGINE_CODE"; }
    echo $$ >"$file"
    echo started
    trap 'echo stopping; exit 75' TERM
    for ((i = 0; i < 600; i++)); do sleep 0.1; done
    ;;
  kill)
    kill -KILL "$2" 2>/dev/null
    while [[ -d /proc/$2 && $(cut -d' ' -f3 /proc/$2/stat 2>/dev/null) != Z ]]; do sleep 0.01; done
    ;;
esac
"""
VALUES = "data.uri=hf://a/b,train.gpus=0,eval.gpus=0,preflight.enabled=false"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The stand-in on PATH, and a folder for what runs leave."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "podman").write_text(PODMAN)
    (tmp_path / "podman").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    return {"PATH": path, "CALLS": f"{tmp_path}/calls", "TMPDIR": f"{tmp_path}/tmp", "ENGINE_CODE": ""}


def words(tmp_path: Path) -> list[str]:
    """The command line of a run with the stand-in."""
    flags = ["--engine", "podman", "--set", VALUES, "--workspace", str(tmp_path / "workspace")]
    return [str(OSFT), "run", "one", "--local", *flags]


def calls(tmp_path: Path) -> list[str]:
    """The verbs that the stand-in was called with, and what followed, from the first `run` on."""
    lines = (tmp_path / "calls").read_text().splitlines()
    verbs = [line.split()[0] for line in lines]
    return verbs[verbs.index("run") :]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_container_ends_with_osft_and_nothing_is_left(
    number: signal.Signals, code: int, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(words(tmp_path), stdout=file, stderr=file, env={**os.environ, **env})
    assert wait_for(lambda: "started" in log.read_text()), log.read_text()
    process.send_signal(number)
    assert process.wait() == code
    assert wait_for(lambda: not living(str(tmp_path)), 20), living(str(tmp_path))
    assert ("stopping" in log.read_text().split()) == (number == signal.SIGINT)
    assert calls(tmp_path)[:3] == ["run", "kill", "rm"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_the_engine_cannot_do_is_not_retried(env: dict[str, str], tmp_path: Path) -> None:
    done = call(*words(tmp_path), **{**env, "ENGINE_CODE": "125"})
    assert done.returncode == 2
    assert "no such device" in done.stderr and "download failed with code 2" in done.stderr
    assert calls(tmp_path) == ["run"]
    assert list((tmp_path / "tmp").iterdir()) == []
