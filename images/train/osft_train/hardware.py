"""What a training ran on, by name."""

import re
from collections import Counter
from pathlib import Path

from osft_workspace.cpus import usable_cpus
from osft_workspace.text import counted

DRIVER, PROCESSORS = Path("/proc/driver/nvidia/gpus"), Path("/proc/cpuinfo")
"""Where the driver and the kernel name what there is, without a start of CUDA."""


def hardware(gpus: int, *, driver: Path = DRIVER, processors: Path = PROCESSORS) -> str:
    """Return `8 x NVIDIA H100 80GB HBM3`, or `4 CPU cores (AMD EPYC 9554)` for a training without GPUs.

    Args:
        gpus: of this node, as the options ask for them.
    """
    if gpus:
        files = sorted(driver.glob("*/information"))
        names = Counter(filter(None, (first(file, "Model") for file in files)))
        return ", ".join(f"{count} x {name}" for name, count in names.items()) or counted(gpus, "GPU")
    name = first(processors, "model name")
    return counted(usable_cpus(), "CPU core") + (f" ({name})" if name else "")


def first(file: Path, field: str) -> str:
    """Return the first value of a field; empty where a file or field is not there."""
    try:
        found = re.search(rf"^{field}\s*:\s*(\S.*)$", file.read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""
