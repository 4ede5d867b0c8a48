"""Processors that a container may use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from osft_workspace.cpus import set_torch_defaults, usable_cpus

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "usable"),
    [("max 100000", ALL), ("100000 100000", 1), ("50000 100000", 1), ("9900000 100000", ALL), ("", ALL)],
)
def test_a_limit_counts_where_it_is_less_than_the_machine(tmp_path: Path, text: str, usable: int) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert usable_cpus(quota) == usable


def test_without_a_limit_all_count(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "none") == ALL


def test_torch_keeps_few_kernels_and_what_a_user_set_stays() -> None:
    env = {"LRU_CACHE_CAPACITY": "1024"}
    set_torch_defaults(env)
    assert env == {
        "OMP_WAIT_POLICY": "passive",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
        "LRU_CACHE_CAPACITY": "1024",
    }


PREPARE = {
    "train": "from osft_train import devices, options; devices.prepare_process(options.Options())",
    "eval": "from osft_eval.backends import prepare_environment; prepare_environment()",
}


@pytest.mark.parametrize("stage", PREPARE)
def test_stages_set_that_before_they_import_torch(stage: str) -> None:
    show = "import os, sys; print(os.environ['LRU_CACHE_CAPACITY'], 'torch' in sys.modules)"
    env = {name: value for name, value in os.environ.items() if name != "LRU_CACHE_CAPACITY"}
    command = [sys.executable, "-c", f"{PREPARE[stage]}; {show}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "128 False\n", done.stderr
