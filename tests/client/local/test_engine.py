"""What `osft run --local --engine` starts, and what is refused before. tests/e2e/test_engine.py starts it."""

import os
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from tests.client.local.support import OSFT, call

CPU = ["--set", "data.uri=hf://a/b,train.gpus=0,eval.gpus=0"]
ENGINES = ("podman", "docker")
engines = pytest.mark.parametrize("engine", ENGINES)


@cache
def plain(engine: str) -> dict[str, list[str]]:
    """What a run on the CPU starts, where docker has no daemon."""
    return commands(engine, Path("/nowhere"), *CPU, DOCKER_HOST="unix:///nowhere/docker.sock")


def commands(engine: str, workspace: Path, *words: str | Path, **env: str) -> dict[str, list[str]]:
    """The words that --dry-run shows, by stage."""
    flags = ["--workspace", workspace, "--engine", engine, *words]
    done = call(OSFT, "run", "one", "--local", "--dry-run", *flags, **env)
    assert done.returncode == 0, done.stderr
    blocks = [block.splitlines() for block in done.stdout.split("\n\n")[1:]]
    return {stage: [line.strip().removesuffix(" \\") for line in lines] for stage, *lines in blocks}


def refused(engine: str, *words: str | Path, **env: str) -> str:
    """The message of a start that ends before anything runs."""
    done = call(OSFT, "run", "one", "--local", "--engine", engine, *words, **env)
    assert done.returncode == 2 and "preflight" not in done.stdout, done.stdout
    return done.stderr


@engines
def test_each_stage_is_one_container_of_its_rendered_image(engine: str, tmp_path: Path) -> None:
    registry = ["--set", "images.registry=registry.example.com,images.tag=1.2"]
    found = commands(engine, tmp_path, *CPU, *registry)
    assert list(found) == ["preflight", "download", "train", "eval", "register"]
    for stage, words in found.items():
        image = "download" if stage == "preflight" else stage
        at = words.index(f"registry.example.com/osft-pipeline/{image}:1.2")
        program, *flags = words[:at]
        assert Path(program).name == engine and flags[:3] == ["run", "--rm", "--pull=never"]
        name = next(flag for flag in flags if flag.startswith("--name="))
        assert re.fullmatch(rf"--name=osft-one-[0-9a-f]{{8}}-{stage}", name)
        assert words[at - 1] == f"--entrypoint=osft-{'ops' if stage == 'preflight' else stage}"
    assert "--workspace=/workspace" in found["preflight"]


@engines
def test_a_container_may_do_what_its_pod_may(engine: str) -> None:
    for words in plain(engine).values():
        security = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"]
        assert set(security) <= set(words)


@engines
def test_files_of_a_container_belong_to_the_caller(engine: str) -> None:
    user = "0:0" if engine == "podman" else f"{os.geteuid()}:{os.getegid()}"
    assert f"--user={user}" in plain(engine)["train"]


def test_folders_here_are_mounted_where_the_pod_expects_them(tmp_path: Path) -> None:
    rows = tmp_path / "rows,of:today"
    rows.mkdir()
    values = [*CPU, "--set", "data.uri=pvc://rows/x.jsonl", "--claim", f"rows={rows}"]
    words = commands("podman", tmp_path / "ws", *values)["download"]
    assert f"--mount=type=bind,source={tmp_path}/ws,target=/workspace" in words
    assert f"'--mount=type=bind,\"source={rows}\",target=/mnt/pvc/rows,readonly'" in words
    assert "--mount=type=bind,source=$SCRATCH/volumes/tmp,target=/tmp" in words
    assert "--mount=type=bind,source=$SCRATCH/termination-log,target=/dev/termination-log" in words
    assert "--env=OSFT_WORKSPACE=/workspace" in words and "--env=HOME=/tmp/home" in words
    assert "--uri=pvc://rows/x.jsonl" in words


@engines
def test_limits_of_memory_and_shared_memory_are_the_container_s(engine: str) -> None:
    assert {f"--memory={32 * 2**30}b", f"--shm-size={8 * 2**30}b"} <= set(plain(engine)["train"])


@pytest.mark.parametrize(
    ("engine", "visible", "flags"),
    [
        ("podman", "", ["--device=nvidia.com/gpu=0", "--device=nvidia.com/gpu=1"]),
        ("podman", "3,1,2", ["--device=nvidia.com/gpu=3", "--device=nvidia.com/gpu=1"]),
        ("docker", "", ["'--gpus=\"device=0,1\"'"]),
        ("docker", "GPU-8f2a,1", ["'--gpus=\"device=GPU-8f2a,1\"'"]),
    ],
)
def test_a_stage_gets_as_many_gpus_as_it_asks_for(
    engine: str, visible: str, flags: list[str], tmp_path: Path
) -> None:
    gpus = ["--set", "data.uri=hf://a/b,train.gpus=2,eval.gpus=0"]
    found = commands(engine, tmp_path, *gpus, CUDA_VISIBLE_DEVICES=visible)
    shown = {
        stage: [word for word in words if word.startswith(("--device=", "'--gpus="))]
        for stage, words in found.items()
    }
    assert shown == {"preflight": [], "download": [], "train": flags, "eval": [], "register": []}


SECRET = [*CPU, "--set", "secrets.hf.existing=hub"]


def test_secrets_and_proxies_are_passed_by_name_and_never_shown(tmp_path: Path) -> None:
    env = {"HF_TOKEN": "hf_canary_71c3", "https_proxy": "http://user:hf_canary_71c3@proxy:3128"}
    words = commands("docker", tmp_path, *SECRET, **env)["download"]
    assert words[0] == "HF_TOKEN=(secret)"
    assert {"--env=HF_TOKEN", "--env=https_proxy"} <= set(words)
    assert not any("hf_canary_71c3" in word for word in words)


def test_the_engine_may_come_from_the_environment(tmp_path: Path) -> None:
    done = call(
        OSFT, "run", "one", "--local", "--dry-run", *CPU, "--workspace", tmp_path, OSFT_ENGINE="podman"
    )
    assert " run \\\n  --rm " in done.stdout, done.stdout + done.stderr


def test_an_unknown_engine_is_refused_with_those_that_are_known() -> None:
    assert "'process', 'podman', 'docker'" in refused("containerd", *CPU)


@engines
def test_a_missing_engine_is_a_sentence(engine: str, tmp_path: Path) -> None:
    (tmp_path / "env").symlink_to(shutil.which("env") or "/usr/bin/env")
    said = refused(engine, *CPU, "--workspace", tmp_path / "ws", PATH=str(tmp_path))
    assert f"{engine} was not found on PATH" in said and "Install it" in said
    assert not (tmp_path / "ws").exists()


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker client")
def test_a_docker_without_a_daemon_is_a_sentence(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/nothing"
    said = refused("docker", *CPU, "--workspace", tmp_path / "ws", DOCKER_HOST=host)
    assert "docker does not answer (" in said and str(tmp_path) in said and "Start it" in said
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize(
    "words",
    [["--engine=podman"], ["--workspace=here"], ["--claim=rows=."], ["--backoff-seconds=1"], ["--ask"]],
)
def test_an_option_of_local_runs_needs_local(words: list[str]) -> None:
    done = call(OSFT, "run", "one", "--data=hf://org/rows", *words)
    name = words[0].split("=")[0]
    assert done.returncode == 2
    assert f"{name} is for runs on this machine, and --local is missing" in done.stderr
