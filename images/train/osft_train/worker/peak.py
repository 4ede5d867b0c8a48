"""Peak memory of a worker on a CPU, for the stage to compare with the plan."""

import json
from pathlib import Path

from osft_train.worker.lines import write_line
from osft_train.worker_log import PEAK


def resident() -> int:
    """Return the largest resident memory that this process has had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024


def tell() -> None:
    """Write it as a line that the stage reads."""
    write_line(json.dumps({PEAK: resident()}))
