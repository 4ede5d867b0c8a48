"""The program of every rank: mini-trainer's training program, as it is.

    torchrun ... -m osft_train.worker --model-name-or-path ...

torchrun starts it as a program, or calls it in a fork (`launch`): then it must return where all went well.

What is put around it, listed in `osft_train.patches`: whole and periodic full-state checkpoints, a resume
that goes on where it was (`state`) and runs no code of theirs (`guarded`), rows that stay apart in the loss
(`packing`), decompositions that are kept (`factors`), decomposed layers that take fewer operations
(`decomposed`), the loss of held-out rows (`validation`), adapters in place of whole models (`adapters`), and,
without CUDA, the few spots that name CUDA (`cpu`) and faster projections (`projections`).
"""

import gc
import os
import sys
from pathlib import Path

from osft_train import trackers
from osft_train.worker.launch import LAUNCHER_PID
from osft_train.worker.lines import keep_lines_whole
from osft_workspace import trust
from osft_workspace.parent import die_with_parent


def model_path(arguments: list[str]) -> Path:
    """Return the base model's folder from mini-trainer's command line."""
    return Path(
        next(word.partition("=")[2] for word in arguments if word.startswith("--model-name-or-path="))
    )


def main() -> None:
    """Fill the gaps, then run mini-trainer with this process's arguments."""
    die_with_parent(int(os.environ[LAUNCHER_PID]))
    keep_lines_whole()
    trust.install()
    trackers.hide_unused({argument.lstrip("-").split("-")[0] for argument in sys.argv})

    from mini_trainer import train

    from osft_train.base import register_own_classes
    from osft_train.worker import decomposed, factors, guarded, packing, peak, state, tracked, validation

    register_own_classes(model_path(sys.argv), trust_remote_code="--trust-remote-code" in sys.argv)
    packing.install()
    guarded.install()
    factors.install(os.environ["OSFT_TRAIN_FACTORS"])
    decomposed.install()
    tracked.install()
    validation.install(int(os.environ["OSFT_TRAIN_STEPS"]))
    state.install(float(os.environ["OSFT_TRAIN_CHECKPOINT_SECONDS"]))
    device, compute = os.environ["OSFT_TRAIN_DEVICE"], os.environ["OSFT_TRAIN_COMPUTE"]
    keep = os.environ["OSFT_TRAIN_KEEP_ACTIVATIONS"] == "1"
    if device == "cpu":
        from osft_train.worker import cpu

        cpu.install(compute, keep=keep)
    if adapter := os.environ["OSFT_TRAIN_ADAPTER"]:
        from osft_train.adapters import Adapter
        from osft_train.worker import adapters

        adapters.install(Adapter.read(adapter), device, compute, keep=keep)
    # OSFT's start collects garbage after every weight matrix. Objects of the imports, which never become
    # garbage, make each of these scans cost 0.3 s; frozen, they are not looked at.
    gc.freeze()
    try:
        train.app(standalone_mode=False)
    except SystemExit as ended:  # with 0 after the full state that was asked for
        if ended.code:
            raise
    if device == "cpu":
        peak.tell()


if __name__ == "__main__":
    main()
