"""Processors that a container may use."""

import os
from pathlib import Path

import pytest

from osft_workspace.cpus import tame_torch, usable_cpus

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
    tame_torch(env)
    assert env == {
        "OMP_WAIT_POLICY": "passive",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
        "LRU_CACHE_CAPACITY": "1024",
    }
