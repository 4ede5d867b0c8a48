"""How many processors a container may use."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cpus(quota: Path = QUOTA) -> int:
    """Processors of this container: those it may run on, or fewer where its CPU limit says so."""
    cpus = len(os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text().split()
        return min(cpus, max(1, -(-int(allowed) // int(period))))
    except (OSError, ValueError):  # no cgroup v2 here, or "max"
        return cpus
