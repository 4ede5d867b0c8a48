"""The summary of a Weights & Biases run, by its own client where the image has it.

    python -m osft_eval.trackers.wandb < {"run": ..., "figures": ...}

It has no public API for that but its client, which starts processes and waits for them when its own ends. So
it runs in a process of its own, which is ended with all that it started when it takes too long.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any

from osft_eval.trackers import SECONDS, Sent
from osft_workspace import Transient, UserError, excerpt
from osft_workspace.redact import redact_text

ENDING = 5.0
"""Seconds by which it ends before the stage would give it up."""


def send(sent: Sent) -> dict[str, Any]:
    """Add figures to the summary of the training's run; return what to log.

    Raises:
        UserError: this image has no client, or no key.
        Transient: the client failed or took too long.
    """
    if importlib.util.find_spec("wandb") is None:
        raise UserError(
            "the eval image does not contain the package wandb. Use an image that does (images.eval), or "
            "read the figures in results.json."
        )
    if not os.environ.get("WANDB_API_KEY"):
        raise UserError("WANDB_API_KEY is empty. Give the key (secrets.wandb).")
    with tempfile.TemporaryDirectory() as folder:
        env = {"WANDB_DIR": folder, "WANDB_SILENT": "true", "WANDB_CONSOLE": "off", **os.environ}
        end(
            subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=env,
                start_new_session=True,
            ),
            json.dumps({"run": sent.run, "figures": sent.figures}),
        )
    return {"run": sent.run.get("run_id"), "figures": len(sent.figures)}


def end(child: "subprocess.Popen[str]", given: str) -> None:
    """Wait for the client, and leave nothing of it behind. Raises Transient."""
    try:
        _, printed = child.communicate(given, timeout=SECONDS - ENDING)
    except subprocess.TimeoutExpired:
        raise Transient(f"its client did not end within {SECONDS - ENDING:.0f} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.returncode:
        last = next((line for line in reversed(printed.splitlines()) if line.strip()), "nothing")
        raise Transient(f"its client ended with {child.returncode}: {excerpt(redact_text(last), 300)}")


def main() -> None:
    """Do it, with what stdin says."""
    import wandb

    given = json.load(sys.stdin)
    known = given["run"]
    run = wandb.init(
        id=known["run_id"], project=known.get("project"), entity=known.get("entity"), resume="allow"
    )
    run.summary.update(given["figures"])
    run.finish()


if __name__ == "__main__":
    main()
