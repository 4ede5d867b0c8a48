"""Set-up names what is missing, builds a part once, and builds it again when its lock changes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASH = shutil.which("bash") or "/bin/bash"


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one of our scripts with `env` on top of this process's environment."""
    return subprocess.run(
        [BASH, *command], cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=120
    )


def put_program(folder: Path, name: str, body: str) -> None:
    """A program `name` in `folder` that stands for what a user's machine may have."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{BASH}\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository's set-up with uv and Helm 4 built, and nothing else."""
    copy = tmp_path / "checkout"
    ours = shutil.ignore_patterns("*.pyc", "requirements-vllm.txt")
    for name in ("images", "tools", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=ours)
    (copy / ".cache/stamps").mkdir(parents=True)
    (copy / ".cache/bin").mkdir()
    (copy / ".cache/uv").symlink_to(ROOT / ".cache/uv")
    os.link(ROOT / ".cache/bin/helm4", copy / ".cache/bin/helm4")
    for part in ("uv", "helm4"):
        stamp = (ROOT / ".cache/stamps" / part).read_text()
        (copy / ".cache/stamps" / part).write_text(stamp.replace(str(ROOT), str(copy)))
    return copy


def test_everything_missing_is_named_in_one_go_with_how_to_get_it(tmp_path: Path) -> None:
    done = run("scripts/prerequisites", "demo", PATH=str(tmp_path))
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert "git is missing. Install it (on Debian: apt-get install git)." in lines
    assert "make is missing. Install it (on Debian: apt-get install make)." in lines
    assert any(line.startswith("Go >= 1.26 is missing (seen: none). Install it from ") for line in lines)


def test_a_go_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    put_program(
        tmp_path / "bin", "go", '[[ $1 == env ]] && echo go1.19.8 || echo "go version go1.19.8 linux/amd64"'
    )
    done = run("scripts/prerequisites", "tools", PATH=f"{tmp_path / 'bin'}")
    assert done.returncode == 2
    assert done.stderr.startswith("Go >= 1.26 is missing (seen: go version go1.19.8 linux/amd64).")


def test_a_machine_that_has_everything_passes_in_silence() -> None:
    for need in ("venvs", "tools", "lint", "test"):
        done = run("scripts/prerequisites", need)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("script", ["setup", "prerequisites", "lock", "lint", "generate"])
def test_an_unknown_part_is_rejected_with_what_is_known(script: str) -> None:
    done = run(f"scripts/{script}", "trian")
    assert done.returncode == 2
    assert re.search(r"found '?trian'?, expected", done.stderr)


def test_a_repeat_run_builds_nothing() -> None:
    before = {p: p.stat().st_mtime_ns for p in (ROOT / ".cache/stamps").glob("*") if p.suffix != ".lock"}
    done = run("scripts/setup", "dev", "download", "register", "helm3", "helm4", "model-registry", "schemas")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_two_at_once_build_an_environment_once_and_both_succeed(checkout: Path) -> None:
    command = [BASH, "scripts/setup", "register"]
    env = os.environ | {"UV_OFFLINE": "1"}
    both = [
        subprocess.Popen(command, cwd=checkout, env=env, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("set-up: register ready") == 1
    shown = subprocess.run(
        [checkout / ".venvs/register/bin/osft-register", "--help"], capture_output=True, text=True
    )
    assert "Usage: osft-register" in shown.stdout


def test_a_changed_lock_changes_the_environment_and_nothing_stays_behind(checkout: Path) -> None:
    assert run("scripts/setup", "register", cwd=checkout, UV_OFFLINE="1").returncode == 0
    packages = checkout / ".venvs/register/lib"
    assert list(packages.glob("*/site-packages/httpx"))
    lock = checkout / "images/register/requirements.txt"
    lock.write_text(re.sub(r"(?ms)^httpx==.*?(?=^\S)", "", lock.read_text()))
    assert run("scripts/setup", "register", cwd=checkout, UV_OFFLINE="1").returncode == 0
    assert list(packages.glob("*/site-packages/click"))
    assert not list(packages.glob("*/site-packages/httpx"))


def test_a_lock_with_a_wrong_hash_is_not_installed_and_the_right_one_is_afterwards(checkout: Path) -> None:
    lock = checkout / "images/register/requirements.txt"
    right = lock.read_text()
    lock.write_text(re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", right))
    done = run("scripts/setup", "register", cwd=checkout, UV_OFFLINE="1")
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()
    assert not (checkout / ".venvs/register/bin/osft-register").exists()
    lock.write_text(right)
    assert run("scripts/setup", "register", cwd=checkout, UV_OFFLINE="1").returncode == 0
    assert (checkout / ".venvs/register/bin/osft-register").exists()


@pytest.mark.parametrize(
    ("version", "used"), [("v3.18.0", True), ("v4.0.1", True), ("v3.17.3", False), ("v2.16.1", False)]
)
def test_a_helm_on_path_is_used_as_it_is_when_it_is_new_enough(
    checkout: Path, version: str, used: bool
) -> None:
    put_program(checkout / "bin", "helm", f"echo {version}")
    done = run("scripts/setup", "helm", cwd=checkout, PATH=f"{checkout / 'bin'}:/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    expected = checkout / "bin/helm" if used else checkout / ".cache/bin/helm4"
    assert (checkout / ".cache/bin/helm").resolve() == expected.resolve()
