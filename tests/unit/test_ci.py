"""What `.ci/run` covers: the scenarios marked `core` are one of each kind that it must show."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = {
    "cluster ordering, a real model": "test_orderings.py::test_cluster_ordering_with_the_demo",
    "hooks ordering, a real model": "test_orderings.py::test_hooks_ordering_with_the_demo",
    "a kill": "test_failures.py::test_every_stage_survives_its_pod[killed]",
    "a gate": "test_failures.py::test_a_gate_that_refuses",
    "preflight": "test_preflight.py::test_secrets_and_addresses_are_refused_by_the_preflight_job",
    "two nodes": "test_orderings.py::test_two_nodes_train_what_one_node_trains",
    "the client's wheel": "test_wheel.py::test_osft_from_a_wheel_runs_follows_and_lists",
}


def test_the_core_is_one_scenario_of_each_kind() -> None:
    command = [sys.executable, "-m", "pytest", "tests/e2e", "--collect-only", "--quiet", "-m", "core"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(re.findall(r"^tests/e2e/(\S+::.+)$", listed, re.MULTILINE)) == sorted(CORE.values())


@pytest.mark.parametrize(
    ("words", "called"),
    [(["CORE=1"], ["--core"]), (["K=drained"], ["-k", '"drained"']), ([], [])],
)
def test_make_e2e_runs_all_scenarios_or_the_core(words: list[str], called: list[str]) -> None:
    # The tests may run below a make that was given words of its own.
    given = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "CORE", "K")
    env = {name: value for name, value in os.environ.items() if name not in given}
    command = ["make", "--dry-run", "e2e", *words]
    printed = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1].split() == ["scripts/e2e", *called]


MAKE = """\
#!/bin/sh
echo "called: make $*"
[ "$1" != "$FAILS" ]
"""


@pytest.mark.parametrize(("fails", "code"), [("none", 0), ("test", 1)])
def test_ci_runs_every_check_and_fails_when_one_fails(fails: str, code: int, tmp_path: Path) -> None:
    """In a folder where make only says how it was called."""
    program = tmp_path / "bin" / "make"
    program.parent.mkdir()
    program.write_text(MAKE)
    program.chmod(0o755)
    copied = tmp_path / ".ci" / "run"
    copied.parent.mkdir()
    shutil.copy(ROOT / ".ci" / "run", copied)
    env = {"PATH": f"{program.parent}:/usr/bin:/bin", "FAILS": fails}
    done = subprocess.run([copied], env=env, capture_output=True, text=True, check=False)
    called = re.findall(r"called: make (.*)", done.stdout)
    assert called == ["lint CORE=1", "test CORE=1", "demo CORE=1", "e2e CORE=1"]
    assert done.returncode == code, done.stdout + done.stderr
    assert "ci: make test: exit" in done.stdout
