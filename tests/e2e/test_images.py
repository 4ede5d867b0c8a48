"""The built images, as a cluster runs them: any user, a read-only root, no network."""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.e2e.harness import status, version

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache/images"
BUILD = ROOT / "scripts/build-images"
STAGES = ("download", "train", "eval", "register")
LIMITS = {"download": 600e6, "register": 150e6}
PULLED_LIMIT = 250e6
BUILDAH = f"buildah --root {HOME}/store --runroot {HOME}/run"
# What is mounted lives in the namespace of this shell alone.
IN_TREE = f"""set -e
container=$({BUILDAH} from --pull-never "$1")
trap '{BUILDAH} rm "$container" >/dev/null' EXIT
mount --bind "$({BUILDAH} mount "$container")" "$2/rootfs"
shift 2
"$@"
"""
UID = 1000660000  # as OpenShift would choose it

Call = Callable[..., "subprocess.CompletedProcess[str]"]


def run(*words: str | Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end and keep what it says."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)


def name(stage: str) -> str:
    """The image in the store of the checkout."""
    return f"localhost/osft-pipeline/{stage}:latest"


def stored(stage: str) -> dict[str, Any]:
    """What the store lists of an image."""
    listed: list[dict[str, Any]] = json.loads(run(*BUILDAH.split(), "images", "--json", name(stage)).stdout)
    return listed[0]


def inspected(image: str) -> dict[str, Any]:
    """What an image says of itself, as a registry would serve it."""
    shown = run(*BUILDAH.split(), "inspect", "--type", "image", image)
    described: dict[str, Any] = json.loads(shown.stdout)["OCIv1"]
    return described


def described(stage: str) -> dict[str, Any]:
    """The same of a stage's image."""
    return inspected(name(stage))


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """The images of this checkout; built only where something changed."""
    done = run(BUILD)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def in_tree(tmp_path: Path) -> Call:
    """Runs a command with an image's files at <tmp_path>/rootfs."""
    (tmp_path / "rootfs").mkdir()

    def call(stage: str, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        return run("unshare", "--mount", "sh", "-c", IN_TREE, "sh", name(stage), tmp_path, *words)

    return call


@pytest.fixture
def contained(tmp_path: Path, in_tree: Call) -> Call:
    """Runs a command in a container of an image, under the rules that the chart sets."""
    run("runc", "spec", "--bundle", tmp_path)
    spec = json.loads((tmp_path / "config.json").read_text())

    def call(stage: str, *words: str) -> "subprocess.CompletedProcess[str]":
        config = described(stage)["config"]
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": UID, "gid": 0},
            "args": [*(words or (*config["Entrypoint"], "--help"))],
            "env": config["Env"],
            "capabilities": {},
            "noNewPrivileges": True,
        }
        spec["root"] = {"path": "rootfs", "readonly": True}
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"]
        spec["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        (tmp_path / "config.json").write_text(json.dumps(spec))
        return in_tree(stage, "runc", "run", "--bundle", tmp_path, f"osft-{uuid.uuid4().hex[:8]}")

    return call


def test_unchanged_images_are_not_built_again() -> None:
    done = run(BUILD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_says_what_it_is_and_starts_its_stage_without_root(stage: str) -> None:
    config = described(stage)["config"]
    assert config["Entrypoint"] == [f"osft-{stage}"]
    assert config["User"] == "10001:0"
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["title"] == f"osft-pipeline/{stage}"
    assert labels["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", labels["version"])
    sources = ("images", ":(exclude)images/*.md", ":(exclude)images/**/*.md")
    commit = run("git", "-C", ROOT, "log", "-1", "--format=%H", "--", *sources).stdout.strip()
    changed = run("git", "-C", ROOT, "status", "--porcelain", "--", *sources).stdout
    assert labels["revision"] == commit + ("-dirty" if changed else "")
    assert "source" in labels


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_starts_as_any_user_on_a_read_only_root_without_a_network(
    stage: str, contained: Call
) -> None:
    done = contained(stage)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: osft-{stage} ")


IMPORTS = {
    "download": "import boto3, datasets, huggingface_hub, orjson, pyarrow.parquet; boto3.client('s3'); "
    "import sentencepiece, tiktoken, transformers, osft_rows.encoder",
    "train": "import torch, transformers, training_hub, mini_trainer, s3fs, wandb, mlflow",
    "eval": "import torch, transformers, lm_eval, lm_eval.models.huggingface, sacrebleu, rouge_score.scoring",
    "register": "import httpx, osft_register.cli",
}


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_imports_is_whole_though_images_leave_parts_of_libraries_out(
    stage: str, contained: Call
) -> None:
    done = contained(stage, "python", "-c", f"{IMPORTS[stage]}; print('whole')")
    assert done.stdout.endswith("whole\n"), done.stderr


def test_triton_can_compile_what_launches_its_kernels(contained: Call) -> None:
    program = (
        "import pathlib, tempfile; from triton.backends.nvidia import driver; "
        "from triton.runtime import build; folder = tempfile.mkdtemp(); "
        "source = pathlib.Path(driver.__file__).with_name('driver.c'); "
        "print(build._build('launcher', str(source), folder, [], driver.include_dirs, [], []))"
    )
    for stage in ("train", "eval"):
        done = contained(stage, "python", "-c", program)
        assert "launcher" in done.stdout, done.stderr


UNWANTED = (
    r"opt/uv/.*",
    r"opt/osft/lib/[^/]+/site-packages/(pip|uv)/.*",
    r"opt/osft/.*/(direct_url|uv_cache)\.json",
    r"opt/osft/.*/osft_[^/]+/(.*/)?\..*",
    r"(root|home)/\.cache/.*",
    r"(tmp|src|run)/.+",
    r"etc/(hostname|resolv.conf)",
    r"var/lib/apt/lists/.*_.*",
    r"var/cache/apt/.*",
    r"var/log/.*\.log",
)


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_keeps_nothing_of_its_build(stage: str, in_tree: Call, tmp_path: Path) -> None:
    listed = in_tree(
        stage, "find", tmp_path / "rootfs", "-xdev", "-type", "f", "-size", "+0", "-printf", "%P\n"
    ).stdout.splitlines()
    assert len(listed) > 1000  # files with something in them; buildah leaves empty ones where it mounts
    compiler = [] if stage in ("train", "eval") else [r"usr/bin/(gcc|cc)(-\d+)?"]
    left = [path for path in listed for pattern in (*UNWANTED, *compiler) if re.fullmatch(pattern, path)]
    assert left == []


@pytest.mark.parametrize("stage", STAGES)
def test_code_is_compiled_because_nothing_can_be_written_beside_it(stage: str, contained: Call) -> None:
    program = (
        f"import importlib, sys; importlib.import_module('osft_{stage}.cli'); "
        "files = {m.__spec__.cached for m in list(sys.modules.values()) if getattr(m, '__spec__', None) "
        "and m.__spec__.cached and m.__file__.startswith('/opt/osft')}; "
        "import os; print(len(files), [f for f in files if not os.path.exists(f)])"
    )
    done = contained(stage, "python", "-c", program)
    assert re.fullmatch(r"\d\d+ \[\]\n", done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize("stage", LIMITS)
def test_the_images_without_torch_stay_small(stage: str) -> None:
    number, unit = stored(stage)["size"].split()
    assert unit == "MB" and float(number) * 1e6 <= LIMITS[stage]


@pytest.mark.parametrize("stage", LIMITS)
def test_a_node_pulls_little_of_the_images_without_torch(stage: str) -> None:
    images = status().get("images")
    if not images:
        pytest.skip("no development cluster, whose registry holds what nodes pull")
    layers = json.loads(served(images, stage, version()))["layers"]
    assert 0 < sum(layer["size"] for layer in layers) <= PULLED_LIMIT


def test_train_and_eval_share_the_layers_of_torch() -> None:
    train, evaluation = (described(stage)["rootfs"]["diff_ids"] for stage in ("train", "eval"))
    shared = [ours for ours, theirs in zip(train, evaluation, strict=False) if ours == theirs]
    # The base, what is copied, torch, the compiler.
    assert len(shared) == 4
    assert described("train")["history"][: len(shared)] == described("eval")["history"][: len(shared)]


def wanted(stage: str) -> Iterator[str]:
    """`name@version` of every locked requirement of a stage on this platform."""
    text = (ROOT / f"images/{stage}/requirements.txt").read_text()
    for line in re.findall(r"(?m)^[a-z0-9].*?(?=\s*\\?$)", text):
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate():
            (version,) = requirement.specifier
            yield f"pkg:pypi/{requirement.name.lower().replace('_', '-')}@{version.version}"


@pytest.mark.parametrize("stage", STAGES)
def test_the_bill_of_materials_lists_what_is_locked_and_what_debian_brought(stage: str) -> None:
    bill = json.loads((HOME / f"{stage}.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == f"osft-pipeline/{stage}"
    listed = {component["purl"].replace("%2B", "+") for component in bill["components"]}
    assert set(wanted(stage)) - listed == set()
    own = {"pkg:pypi/osft-workspace", f"pkg:pypi/osft-{stage}"}
    assert own <= {address.partition("@")[0] for address in listed}
    assert any(address.startswith("pkg:pypi/osft-ops@") for address in listed) == (stage == "download")
    debian = {address.partition("@")[0] for address in listed if address.startswith("pkg:deb/")}
    assert "pkg:deb/debian/libc6" in debian
    assert ("pkg:deb/debian/gcc" in debian) == (stage in ("train", "eval"))


@pytest.mark.parametrize("stage", ["register", "download"])
def test_the_same_commit_gives_the_same_image(stage: str) -> None:
    """Whatever git ignores in the checkout."""
    before = stored(stage)["id"], (HOME / f"{stage}.cdx.json").read_text()
    stray = ROOT / f"images/{stage}/osft_{stage}/.ruff_cache/stray"
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("a linter's")
    done = run(BUILD, "--no-cache", stage)
    stray.unlink()
    assert done.returncode == 0, done.stderr
    assert (stored(stage)["id"], (HOME / f"{stage}.cdx.json").read_text()) == before


@pytest.mark.parametrize("stage", STAGES)
def test_layers_know_no_commit(stage: str) -> None:
    """Else the digest of an image would tell at which commit the cache was filled that it was built from."""
    (step,) = [step for step in described(stage)["history"] if "image.version" in step["created_by"]]
    before = inspected(step["comment"].removeprefix("FROM "))["config"]["Labels"]
    assert sorted(before) == [
        f"org.opencontainers.image.{key}" for key in ("description", "licenses", "title")
    ]


@pytest.fixture
def kept_digests() -> Iterator[Path]:
    """What the checkout knows of its pushes, as it was before the test."""
    path = HOME / "digests.json"
    before = path.read_bytes() if path.exists() else None
    yield path
    if before is not None:
        path.write_bytes(before)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry of images on this machine, empty; its files lie in <tmp_path>/registry."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = tmp_path / "registry.yaml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
                "http": {"addr": address},
            }
        )
    )
    with subprocess.Popen(
        ["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        yield address
        server.terminate()


def push(registry: str) -> str:
    """Push an image; what is printed."""
    done = run(BUILD, "--push", registry, "register")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_pushed_image_is_written_down_by_its_digest_and_pins_the_chart(
    registry: str, kept_digests: Path
) -> None:
    printed = push(registry)
    pushed = json.loads(kept_digests.read_text())["register"]
    assert pushed["name"] == f"{registry}/osft-pipeline/register"
    assert printed.startswith(f"{pushed['name']}:{pushed['tag']}  {pushed['digest']}  ")
    manifest = served(registry, "register", pushed["digest"])
    assert pushed["digest"] == f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def test_a_registry_that_lost_an_image_gets_it_again(
    registry: str, kept_digests: Path, tmp_path: Path
) -> None:
    printed = push(registry)
    digest = json.loads(kept_digests.read_text())["register"]["digest"]
    assert push(registry) == printed
    shutil.rmtree(tmp_path / "registry/docker")
    assert push(registry) == printed
    assert served(registry, "register", digest)


def served(registry: str, stage: str, reference: str) -> bytes:
    """The manifest of an image, by its digest or tag, as a registry serves it."""
    url = f"http://{registry}/v2/osft-pipeline/{stage}/manifests/{reference}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=accept)) as answer:
        manifest: bytes = answer.read()
    return manifest
