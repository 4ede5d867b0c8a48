"""The termination message: one sentence that `kubectl describe pod` shows."""

import os
from pathlib import Path

from osft_workspace.redact import redact_text
from osft_workspace.text import sentence

DEFAULT = Path("/dev/termination-log")
LIMIT = 4096  # bytes; the kubelet cuts there


def say_end(message: str) -> None:
    """Write the termination message where the kubelet, or a local run, looks for it. Never fatal."""
    path = Path(os.environ.get("OSFT_TERMINATION_LOG") or DEFAULT)
    text = sentence(redact_text(message)).encode()[:LIMIT].decode(errors="ignore")
    try:
        if path != DEFAULT or path.exists():
            # O_NONBLOCK: a pipe without a reader must not block the end of a stage.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK
            with os.fdopen(os.open(path, flags, 0o664), "wb") as file:
                file.write(text.encode())
    except OSError:
        return
