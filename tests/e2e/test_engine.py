"""`osft run --local --engine podman`, as users install it, with the images of this checkout.

No cluster takes part: a wheel outside the checkout, its chart, helm and podman are all that it needs.
"""

import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import BIN, ROOT, call, eventually, make_tiny_model
from tests.support.client_wheel import install_wheel
from tests.support.registry import shared_registry
from tests.support.tiny_values import TINY

STAGES = ["preflight", "download", "train", "eval", "register"]
CANARY = "hf_canary_90c2e7"
VALUES = {
    **TINY,
    "train": {**TINY["train"], "epochs": 30},
    "eval": {"gpus": 0, "tasks": [], "holdout": {"limit": 16, "generate": 2, "maxNewTokens": 8}},
    "register": {"name": "contained"},
    "workspace": {"minFreeGiB": 0},
    "images": {"tag": "latest"},
}


@dataclass
class Story:
    """The starts of one run, in order."""

    folder: Path
    words: list[str]
    env: Mapping[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    seen: str = ""
    """Command lines of this machine while a stage ran."""

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def run(self) -> Path:
        [run] = (self.workspace / "runs").iterdir()
        return run

    def podman(self, *words: str) -> subprocess.CompletedProcess[str]:
        return call("podman", *words, **self.env)

    def containers(self) -> str:
        return self.podman("ps", "--all", "--quiet").stdout

    def remains(self) -> str:
        """Containers and processes of this run."""
        own = [line for line in command_lines().splitlines() if str(self.folder) in line]
        return "\n".join([*self.containers().splitlines(), *own])

    def whole(self, name: str, *more: str) -> None:
        """Start and wait for the end."""
        done = call(*self.words, *more, **self.env)
        self.codes[name], self.outputs[name] = done.returncode, done.stdout + done.stderr

    def interrupted(self, name: str, when: str, number: signal.Signals) -> None:
        """Start, wait until the output matches `when`, and signal osft alone."""
        log = self.folder / f"{name}.log"
        with log.open("w") as file:
            process = subprocess.Popen(self.words, stdout=file, stderr=file, env={**os.environ, **self.env})
        eventually(lambda: re.search(when, log.read_text()) or process.poll() is not None, 300, 0.05)
        self.seen += command_lines()
        process.send_signal(number)
        self.codes[name] = process.wait()
        eventually(lambda: not self.remains(), 30)
        self.outputs[name], self.left[name] = log.read_text(), self.remains()


def command_lines() -> str:
    """The command lines of all processes of this machine, which every user can read."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # ended while we looked
    return "\n".join(found)


@pytest.fixture(scope="module")
def podman_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A podman with containers of its own, which reads the images that `make images` built."""
    done = call(ROOT / "scripts/build-images")
    assert done.returncode == 0, done.stderr
    folder = tmp_path_factory.mktemp("podman")
    store = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    more = f'[storage.options]\nadditionalimagestores = ["{ROOT}/.cache/images/store"]\n'
    (folder / "storage.conf").write_text(store + more)
    # Podman raises limits to a million, which a root without CAP_SYS_RESOURCE may not.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = f'default_ulimits = ["nofile={files}:{files}", "nproc=16384:16384"]'
    (folder / "containers.conf").write_text(f"[containers]\n{limits}\n")
    return {
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
        "CONTAINERS_CONF": f"{folder}/containers.conf",
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HF_TOKEN": CANARY,
    }


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, podman_env: dict[str, str]) -> Iterator[Story]:
    """One run: stopped in training, killed in evaluation, completed, started again."""
    folder = tmp_path_factory.mktemp("engine")
    osft, tiny = install_wheel(folder / "client"), make_tiny_model()
    (folder / "values.yaml").write_text(yaml.safe_dump(VALUES))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    words = ["env", f"--chdir={elsewhere}", osft, "run", "tiny", "--local", "--engine", "podman"]
    flags = ["-f", folder / "values.yaml", "--claim", f"tiny={tiny}", "--workspace", folder / "workspace"]
    address = ["--registry", shared_registry().address]
    story = Story(folder, [str(word) for word in (*words, *flags, *address)], podman_env)
    story.interrupted("stopped", r" train training step=\d\d", signal.SIGTERM)
    story.interrupted("killed", " eval start ", signal.SIGKILL)
    story.whole("completed")
    story.whole("again")
    yield story
    story.podman("rm", "--all", "--force")
    call("umount", Path(podman_env["CONTAINERS_CONF"]).parent / "root" / "overlay")


def test_sigterm_ends_training_with_a_checkpoint_and_no_container(story: Story) -> None:
    output = story.outputs["stopped"]
    assert story.codes["stopped"] == 128 + signal.SIGTERM, output
    assert "stopped in train. The same command continues from there" in output
    assert story.left["stopped"] == ""


def test_the_next_start_resumes_training(story: Story) -> None:
    output = story.outputs["killed"]
    assert re.findall(r" (\w+) already done ", output) == ["download"]
    assert "chose resume value=" in output


def test_a_killed_osft_leaves_no_container(story: Story) -> None:
    assert story.codes["killed"] == -signal.SIGKILL, story.outputs["killed"]
    assert story.left["killed"] == ""


def test_the_run_completes_and_is_registered_at_a_loopback_address(story: Story) -> None:
    output = story.outputs["completed"]
    assert story.codes["completed"] == 0, output
    assert re.findall(r" (\w+) already done ", output) == ["download", "train"]
    assert "What was learned" in output
    assert [version["name"] for version in shared_registry().versions("contained")] == [story.run.name]


def test_a_second_start_finds_all_stages_done(story: Story) -> None:
    output = story.outputs["again"]
    assert story.codes["again"] == 0, output
    assert re.findall(r"^\[\d/5\] (\w+)$", output, re.MULTILINE) == STAGES
    assert re.findall(r" (\w+) already done ", output) == STAGES[1:]


def test_all_files_belong_to_the_caller(story: Story) -> None:
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in story.workspace.rglob("*")}
    assert owners == {(os.geteuid(), os.getegid())}


def test_no_secret_stands_on_a_command_line_or_in_the_output(story: Story) -> None:
    assert "--env=HF_TOKEN" in story.seen or "osft-eval" in story.seen
    assert CANARY not in story.seen
    assert not any(CANARY in output for output in story.outputs.values())


def test_what_a_killed_start_left_is_removed(story: Story) -> None:
    name = f"osft-{story.run.name}-register"
    label = f"--label=osft-pipeline/run={story.run.name}"
    made = story.podman("create", f"--name={name}", label, "localhost/osft-pipeline/register:latest")
    assert made.returncode == 0, made.stderr
    story.whole("removed")
    assert story.codes["removed"] == 0, story.outputs["removed"]
    assert story.containers() == ""


def test_a_container_of_the_same_name_in_use_is_left_alone(story: Story) -> None:
    name = f"osft-{story.run.name}-register"
    made = story.podman("create", f"--name={name}", "localhost/osft-pipeline/register:latest")
    assert made.returncode == 0, made.stderr
    story.whole("refused")
    assert story.codes["refused"] == 2
    assert f"a container named {name} is already there" in story.outputs["refused"]
    assert f"podman rm --force {name}" in story.outputs["refused"]
    assert story.podman("rm", name).returncode == 0


def test_images_that_are_not_there_are_a_sentence(story: Story) -> None:
    story.whole("no image", "--set", "images.registry=registry.example.com,images.tag=3.2")
    assert story.codes["no image"] == 2
    assert "registry.example.com/osft-pipeline/train:3.2" in story.outputs["no image"]
    assert "podman pull registry.example.com/osft-pipeline/" in story.outputs["no image"]
    assert "preflight" not in story.outputs["no image"].partition("Error:")[0]


def test_asking_both_models_needs_a_checkout_and_is_refused_before_the_run(story: Story) -> None:
    story.whole("ask", "--ask")
    assert story.codes["ask"] == 2
    assert "needs the environments of a checkout" in story.outputs["ask"]
    assert "[1/5]" not in story.outputs["ask"]
