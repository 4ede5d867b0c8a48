"""What must hold for the repository as a whole: images, locks, workflows, scripts, what the files may say."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("download", "train", "eval", "register")
LOCKS = [
    *sorted(ROOT.glob("images/*/requirements*.txt")),
    ROOT / "images/build.txt",
    ROOT / "images/torch.txt",
    ROOT / "scripts/osft_images/requirements.txt",
    ROOT / "tests/requirements.txt",
    ROOT / "scripts/demo-requirements.txt",
]
CHART = ROOT / "charts/osft-pipeline"
HELM = ROOT / ".cache/bin/helm4"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
SCRIPTS = sorted(p for p in (ROOT / "scripts").iterdir() if p.is_file() and p.stat().st_mode & 0o100)


def text_files() -> list[Path]:
    """Return every file that is or may be committed, and is text."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = {ROOT / name for name in listed.stdout.split("\0") if name}
    return sorted(p for p in paths if p.is_file() and b"\0" not in p.read_bytes()[:4096])


def locked(lock: Path) -> dict[str, str]:
    """Versions by package of a lock file; the first where a marker chooses."""
    found: dict[str, str] = {}
    for name, version in re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[.*?\])?==(\S+)", lock.read_text()):
        found.setdefault(name.lower().replace("_", "-"), version)
    return found


def instructions(stage: str) -> list[tuple[str, str]]:
    """The Containerfile of `stage` as (instruction, argument), continued lines joined, comments left out."""
    text = (ROOT / f"images/{stage}/Containerfile").read_text()
    text = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ")
    return [(line.split()[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow; YAML reads its key `on` as true."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / f".github/workflows/{name}.yaml").read_text())
    return loaded


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_locked_requirement_has_a_version_and_hashes(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if line and not line.lstrip().startswith("#")]
    entries = "\n".join(lines).replace("\\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[.*\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_locked_at_the_versions_it_asks_for(stage: str) -> None:
    wishes = tomllib.loads((ROOT / f"images/{stage}/pyproject.toml").read_text())["project"]["dependencies"]
    have = locked(ROOT / f"images/{stage}/requirements.txt")
    for wish in wishes:
        name, _, version = wish.partition("==")
        name = name.partition("[")[0].lower().replace("_", "-")
        assert version and have[name] == version, wish


def test_train_and_eval_load_models_with_the_same_libraries() -> None:
    train, evaluation, vllm = (
        locked(ROOT / f"images/{name}.txt")
        for name in ("train/requirements", "eval/requirements", "eval/requirements-vllm")
    )
    assert {n: v for n, v in evaluation.items() if n in train} == {
        n: v for n, v in train.items() if n in evaluation
    }
    for name in ("torch", "transformers", "datasets"):
        assert vllm[name] == train[name]


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_copies_what_exists_and_starts_its_stage_without_root(stage: str) -> None:
    steps = instructions(stage)
    defaults = dict(argument.split("=", 1) for name, argument in steps if name == "ARG" and "=" in argument)
    copies = [argument for name, argument in steps if name == "COPY" and "--from" not in argument]
    sources = [word for argument in copies for word in argument.split()[:-1] if not word.startswith("--")]
    for source in sources:
        source = source.replace("${LOCK}", defaults.get("LOCK", ""))
        assert (ROOT / "images" / source).exists(), source
    assert {"workspace", stage} <= set(sources)
    assert re.fullmatch(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", defaults["BASE_IMAGE"])
    stages = [argument for name, argument in steps if name == "FROM"]
    assert stages == ["${BASE_IMAGE} AS uv", "uv AS own", "${BASE_IMAGE}"]
    # What changes with every commit comes last, so that the layers above stay.
    assert [name for name, _ in steps[-4:]] == ["USER", "ENTRYPOINT", "LABEL", "COPY"]
    assert steps[-4:-2] == [("USER", "10001:0"), ("ENTRYPOINT", f'["osft-{stage}"]')]
    for label in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{label}=" in steps[-2][1]
    assert steps[-1] == ("COPY", "--from=own /opt/osft /opt/osft")


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_installs_packages_by_the_one_program_that_checks_their_hashes(stage: str) -> None:
    runs = " ".join(argument for name, argument in instructions(stage) if name == "RUN")
    compiler = {"compiler"} if stage in ("train", "eval") else set()
    assert set(re.findall(r"install.py (\w+)", runs)) == {"uv", "own", "lock", *compiler}
    assert not re.search(r"\bpip\b", runs)


def special(stage: str) -> list[str]:
    """The lines of a Containerfile without comments, with what only this stage says put in words."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / f"images/{stage}/Containerfile").read_text())
    text = re.sub(r'(?<=description=)".*"', "<what it does>", text.replace(stage, "<stage>"))
    return text.splitlines()


@pytest.mark.parametrize("stage", ["download", "train", "eval"])
def test_what_the_four_images_have_in_common_is_the_same_in_each(stage: str) -> None:
    """The smallest has no line that the others lack; only the lock is read in another step with torch."""
    lines = iter(special(stage))
    for common in special("register"):
        if "<stage>/requirements.txt" not in common:
            assert common in lines, f"images/{stage}/Containerfile lacks, or has elsewhere: {common}"


def test_every_package_from_the_network_is_checked_by_hash() -> None:
    text = (ROOT / "images/install.py").read_text()
    installs = [line for line in text.splitlines() if re.search(r'"(install|sync)"', line)]
    # The third installs our own packages, from wheels made in the build.
    assert ["--require-hashes" in line for line in installs] == [True, True, False]
    assert "--no-index" in text and "--no-deps" in text


def test_the_image_matrix_builds_the_four_stages_and_the_release_publishes_them() -> None:
    jobs = workflow("images")["jobs"]
    machines = jobs["build"]["strategy"]["matrix"]["include"]
    assert {stage for machine in machines for stage in machine["stages"].split()} == set(STAGES)
    assert jobs["publish"]["strategy"]["matrix"]["stage"] == list(STAGES)
    published = str(jobs["publish"]["steps"])
    assert "cosign sign" in published and "cosign attest --yes --type cyclonedx" in published
    release = workflow("release")["jobs"]
    assert release["images"]["uses"] == "./.github/workflows/images.yaml"
    assert "scripts/pin-images" in str(release["chart"]["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_a_workflow_pins_its_actions_and_calls_what_exists(path: Path) -> None:
    loaded = workflow(path.stem)
    assert True in loaded and loaded["permissions"] == {"contents": "read"}
    text = path.read_text()
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    for action in re.findall(r"uses: (.+)", text):
        assert re.fullmatch(r"\./\S+\.yaml|[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", action), action
    for script in re.findall(r"scripts/[\w-]+", text):
        assert (ROOT / script).exists(), script
    for job in loaded["jobs"].values():
        names = job.get("strategy", {}).get("matrix", {}).get("target", [])
        names += re.findall(r"'run': 'make ([a-z]+)", str(job))
        assert set(names) <= set(targets), names


def test_make_help_lists_every_target_in_one_line() -> None:
    # As typed by a user: inside another make, this one would announce itself as its child.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(["make", "help"], cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    shown = made.stdout
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", makefile))
    assert {line.split()[0] for line in shown.splitlines()} == targets
    assert all(len(line.split()) > 2 for line in shown.splitlines())
    assert set(re.search(r"\.PHONY: (.*)", makefile)[1].split()) == targets  # type: ignore[index]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_a_script_says_at_its_top_what_it_is_for(script: Path) -> None:
    first, *head = script.read_text().splitlines()[:15]
    assert first.startswith("#!/usr/bin/env ")
    assert any(re.match(r'(# |""")[A-Z`]\S* \S+ ', line) for line in head)


def test_no_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    hosts = (
        "docker" + ".io",
        "ghcr" + ".io",
        "quay" + ".io",
        "gcr" + ".io",
        "py" + "pi.org",
        "python" + "hosted.org",
    )
    places = ("/ro" + "ot/", "/ho" + "me/", "/wo" + "rk/")
    pattern = re.compile("|".join([*map(re.escape, hosts), *(rf"(?<![\w./}}]){p}" for p in places)]))
    for path in text_files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            assert not pattern.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"


def test_a_released_chart_names_every_image_by_digest(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    digests = {stage: f"sha256:{number:064x}" for number, stage in enumerate(STAGES, 1)}
    pins = [f"{stage}={digest}" for stage, digest in digests.items()]
    command = [ROOT / "scripts/pin-images", "--chart", chart, "registry.example/team/osft", *pins]
    subprocess.run(command, check=True)
    rendered = subprocess.run(
        [HELM, "template", "run1", chart, "--set", "data.uri=hf://org/rows"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    images = {re.sub(r":[^:@]+@", "@", name) for name in re.findall(r"image: \"?([^\s\"]+)", rendered)}
    assert images == {f"registry.example/team/osft/{stage}@{digest}" for stage, digest in digests.items()}


def test_images_pushed_from_this_checkout_are_named_by_digest(tmp_path: Path) -> None:
    chart, pushed = tmp_path / "chart", tmp_path / "digests.json"
    shutil.copytree(CHART, chart)
    command = [ROOT / "scripts/pin-images", "--chart", chart, "--pushed", pushed]
    missing = subprocess.run(command, capture_output=True, text=True)
    assert missing.returncode == 2
    assert "is missing. Push first: scripts/build-images --push <registry>." in missing.stderr
    images = {
        stage: {"name": f"localhost:5000/osft/{stage}", "digest": f"sha256:{'a' * 64}"} for stage in STAGES
    }
    pushed.write_text(json.dumps(images))
    subprocess.run(command, check=True)
    written = yaml.safe_load((chart / "values.yaml").read_text())["images"]
    assert (written["registry"], written["repository"]) == ("localhost:5000", "osft")
    assert {written[stage]["digest"] for stage in STAGES} == {f"sha256:{'a' * 64}"}


def test_wrong_digests_are_rejected_and_nothing_is_written(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("images:\n  registry: localhost\n")
    command = [ROOT / "scripts/pin-images", "--chart", tmp_path, "registry.example/team/osft", "train=latest"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "found train=latest; expected one STAGE=sha256:<64 hex>" in done.stderr
    assert values.read_text() == "images:\n  registry: localhost\n"
