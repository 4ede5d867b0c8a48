"""The package as users install it: a wheel that needs no checkout."""

import subprocess
from pathlib import Path

import pytest

from tests.chart.rendering import ROOT
from tests.support.client_wheel import install_wheel
from tests.support.compared import make_run

HELM = ROOT / ".cache" / "bin" / "helm"
VALUES = ("--set", "data.uri=hf://org/dataset,images.registry=registry.example.com")


@pytest.fixture(scope="module")
def osft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment of its own, installed from a wheel."""
    return install_wheel(tmp_path_factory.mktemp("package"))


def call(osft: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the command in a folder that is not a checkout."""
    env = {"PATH": f"{HELM.parent}:/usr/bin:/bin", "HOME": str(osft.parent)}
    return subprocess.run(
        [osft, *words], cwd=osft.parent, env=env, capture_output=True, text=True, check=False
    )


def test_the_wheel_carries_the_chart(osft: Path) -> None:
    done = call(osft, "run", "run1", *VALUES, "--dry-run", "--namespace", "default")
    assert done.returncode == 0, done.stderr
    chart = ROOT / "charts" / "osft-pipeline"
    own = subprocess.check_output([HELM, "template", "run1", chart, *VALUES], text=True)
    assert done.stdout == own


def test_the_wheel_carries_the_presets(osft: Path) -> None:
    done = call(osft, "run", "run1", "--preset", "phi-3-mini-lora-24gb", *VALUES, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "--model-uri=hf://microsoft/Phi-3-mini-4k-instruct" in done.stdout and "--lora-r=8" in done.stdout


@pytest.mark.parametrize("environment", ["client", "dev"])
def test_a_checkouts_environment_uses_the_checkouts_own_files(environment: str) -> None:
    show = (
        "import osft_pipeline.chart as client, osft_ops, osft_plan, osft_workspace;"
        "print(osft_workspace.__file__, osft_ops.__file__, osft_plan.__file__, client.chart())"
    )
    python = ROOT / ".venvs" / environment / "bin" / "python"
    assert subprocess.check_output([python, "-c", show], text=True).split() == [
        str(ROOT / "images" / "workspace" / "osft_workspace" / "__init__.py"),
        str(ROOT / "images" / "ops" / "osft_ops" / "__init__.py"),
        str(ROOT / "images" / "plan" / "osft_plan" / "__init__.py"),
        str(ROOT / "charts" / "osft-pipeline"),
    ]


def test_a_local_run_outside_a_checkout_says_what_it_needs(osft: Path) -> None:
    done = call(osft, "run", "run1", "--local", *VALUES, "--set", "train.gpus=0,eval.gpus=0")
    assert done.returncode == 2
    assert "needs the environments of a checkout" in done.stderr and "--engine podman" in done.stderr


def test_a_container_engine_needs_no_checkout(osft: Path) -> None:
    cpu = ("--set", "train.gpus=0,eval.gpus=0")
    done = call(osft, "run", "run1", "--local", "--engine", "podman", "--dry-run", *VALUES, *cpu)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" --pull=never ") == 5


def test_the_wheel_carries_the_tables_of_other_systems(osft: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text("model_path: org/base\ndata_path: org/rows\nseed: 7\n")
    done = call(osft, "migrate", str(tmp_path / "theirs.yaml"))
    assert done.returncode == 0, done.stderr
    assert "uri: org/base" in done.stdout and "seed: 7" in done.stdout


def test_the_wheel_carries_the_style_of_the_report_for_comparisons(osft: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        make_run(tmp_path, f"ratio-{number}", fall=float(number))
    words = ("ratio-1", "ratio-2", "--workspace", str(tmp_path), "-o", str(tmp_path / "page.html"))
    done = call(osft, "compare", *words)
    assert done.returncode == 0, done.stderr
    report = ROOT / "images" / "eval" / "osft_eval" / "report" / "style.css"
    assert report.read_text() in (tmp_path / "page.html").read_text()


def test_every_command_answers_help(osft: Path) -> None:
    listed = call(osft, "--help").stdout.partition("Commands:")[2]
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    assert {"run", "plan", "follow", "runs", "report", "ask", "fetch", "secrets"} <= set(names)
    for name in names:
        done = call(osft, name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: osft {name} "), done.stderr


HELP = """
import sys
from osft_pipeline.cli import COMMANDS, main
for name in COMMANDS:
    main.main([name, "--help"], standalone_mode=False)
print("loaded:", *sorted({"scipy", "numpy", "matplotlib"} & {*sys.modules}))
"""


def test_help_waits_for_no_library_that_computes(osft: Path) -> None:
    done = call(osft.with_name("python"), "-c", HELP)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_completion_is_offered_for_commands(osft: Path) -> None:
    env = {
        "PATH": "/usr/bin:/bin",
        "_OSFT_COMPLETE": "bash_complete",
        "COMP_WORDS": "osft fo",
        "COMP_CWORD": "1",
    }
    done = subprocess.run([osft], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "plain,follow"
