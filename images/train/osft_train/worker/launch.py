"""torchrun in a fork of the stage, which has imported its libraries; it ends with the stage.

Without a GPU the workers are forks in their turn: nothing is imported again, and it lies in memory once. CUDA
does not survive a fork, so with a GPU each worker is a program of its own.
"""

import gc
import os
import signal
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from osft_workspace.parent import die_with_parent

LAUNCHER_PID = "OSFT_TRAIN_LAUNCHER_PID"
PROGRAM = ("-m", "osft_train.worker")
FORK = ("--run-path", "--start-method=fork", str(Path(__file__).with_name("__main__.py")))


def start(words: Sequence[str], env: Mapping[str, str]) -> tuple[BaseProcess, int]:
    """Start torchrun, in a session of its own that signals to the stage's do not reach.

    Args:
        words: what follows `torchrun` on its command line.
        env: its whole environment, and the workers'.

    Returns:
        The process, and a file descriptor from which all that they print can be read.
    """
    read, write = os.pipe()
    arguments = (os.getpid(), words, env, read, write)
    process = get_context("fork").Process(target=launch, args=arguments, name="torchrun")
    process.start()
    os.close(write)
    return process, read


def launch(stage: int, words: Sequence[str], env: Mapping[str, str], read: int, write: int) -> None:
    """Run torchrun to its end."""
    os.setsid()
    die_with_parent(stage)
    gc.freeze()  # or the collector would copy the pages of all that was imported
    for stream in (1, 2):
        os.dup2(write, stream)
    os.close(read)
    os.close(write)
    os.environ.clear()
    os.environ.update({**env, LAUNCHER_PID: str(os.getpid())})
    # A SIGTERM to every process reaches the stage too, and it asks the workers to save their state
    # first; torchrun would cut them short after 30 seconds.
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)

    from torch.distributed.run import main as torchrun

    torchrun(list(words))
