"""The processors of a container: how many there are, and how torch is to use them."""

import os
from collections.abc import MutableMapping
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
CACHED_KERNELS = "128"
"""More than several steps need, an eighth of what torch would keep."""


def usable_cpus(quota: Path = QUOTA) -> int:
    """Processors of this container: those it may run on, or fewer where its CPU limit says so."""
    cpus = len(os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text().split()
        return min(cpus, max(1, -(-int(allowed) // int(period))))
    except (OSError, ValueError):  # no cgroup v2 here, or "max"
        return cpus


def set_torch_defaults(env: MutableMapping[str, str]) -> None:
    """Let torch share processors and memory with others; must be in the environment before it is imported.

    Threads that spin while they wait take the processor from those that work wherever it is shared or
    throttled: five to fifteen times the time was seen.

    oneDNN keeps the last 1,024 kernels that it compiled, one for each shape, and batches of text have ever
    new ones. With bfloat16 in hardware each takes up to a megabyte: a worker grew by 0.8 GiB in 80 steps.
    Keeping fewer cost 5 % of a tiny model's time, and none of a 135M model's that could be measured.
    """
    env.setdefault("OMP_WAIT_POLICY", "passive")
    env.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", CACHED_KERNELS)
    env.setdefault("LRU_CACHE_CAPACITY", CACHED_KERNELS)  # torch's own, of the same
