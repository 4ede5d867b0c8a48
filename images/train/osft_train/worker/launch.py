"""torchrun, tied to the life of the stage that starts it."""

import os
import signal

from osft_workspace.parent import die_with_parent

STAGE_PID = "OSFT_TRAIN_STAGE_PID"
LAUNCHER_PID = "OSFT_TRAIN_LAUNCHER_PID"


def main() -> None:
    """Run torchrun with this process's arguments."""
    die_with_parent(int(os.environ[STAGE_PID]))
    os.environ[LAUNCHER_PID] = str(os.getpid())
    # A SIGTERM to every process reaches the stage too, and it asks the workers to save their state
    # first; torchrun would cut them short after 30 seconds.
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)

    from torch.distributed.run import main as torchrun

    torchrun()


if __name__ == "__main__":
    main()
