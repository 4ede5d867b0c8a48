"""The termination message: one sentence that `kubectl describe pod` shows."""

import os
from pathlib import Path

from osft_workspace.redact import redact_text

DEFAULT = Path("/dev/termination-log")
LIMIT = 4096  # bytes; the kubelet cuts there


def say_end(message: str) -> None:
    """Write the termination message where the kubelet, or a local run, looks for it. Never fatal."""
    path = Path(os.environ.get("OSFT_TERMINATION_LOG") or DEFAULT)
    try:
        if path != DEFAULT or path.exists():
            path.write_bytes(redact_text(message).encode()[:LIMIT])
    except OSError:
        return
