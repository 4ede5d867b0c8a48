"""Starts of the stages without the imports of their libraries, most of the time of a short one.

The same console script runs with the same words and environment, in a fork of a process that has imported its
libraries. Where a stage measures its own memory, a signal is sent, or a variable is set that a library reads
when it is imported, a test starts the program itself.
"""

import atexit
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.sandbox import executable, stage_env

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""As the chart sets for eval."""
READY = {
    "download": "import osft_download.stage, transformers.models.auto.tokenization_auto",
    "train": (
        "from osft_train import devices, options\n"
        "devices.prepare_process(options.Options(gpus=0))\n"
        "import osft_train.engine, osft_train.osft, osft_train.stage\n"
        "import matplotlib.figure, mini_trainer.train, tensorboardX.event_file_writer, training_hub\n"
        "import transformers.models.llama.modeling_llama"
    ),
    "register": "import osft_register.stage",
    "eval": (
        "import os\n"
        "os.environ['TQDM_DISABLE'] = '1'  # as eval does before it imports libraries\n"
        "import osft_eval.backends, osft_eval.check, osft_eval.stage\n"
        "import datasets, lm_eval.evaluator, lm_eval.models.huggingface, lm_eval.tasks\n"
        "import transformers.models.llama.modeling_llama"
    ),
}
"""What a stage imports, and sets before it does."""
READ_WHEN_NEEDED = ("OSFT_", "AWS_", "HF_TOKEN", "PET_", "WANDB_API_KEY")
"""What other variables may begin with, beside those of every start."""


def knows(command: Sequence[str]) -> bool:
    """Return whether this is the console script of a stage."""
    return any(command[0] == executable(stage) for stage in READY)


def may_fork(env: Mapping[str, str]) -> bool:
    """Return whether a start with these variables, beside those of every start, may be a fork."""
    return all(name.startswith(READ_WHEN_NEEDED) for name in env)


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    seconds: float,
    begun: Callable[[int], object] = lambda pid: None,
) -> tuple[int, str]:
    """Run the console script of a stage to its end.

    Args:
        begun: called with its process id, which is also that of its session.

    Returns:
        Its exit code, and what it printed on both streams.

    Raises:
        TimeoutError: it did not end in time, and was killed.
    """
    message = json.dumps({"command": list(command), "env": dict(env)}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as connection, tempfile.TemporaryFile() as printed:
        connection.connect(server(Path(command[0]).name.removeprefix("osft-")))
        sent = socket.send_fds(connection, [message], [printed.fileno()])
        connection.sendall(message[sent:])
        with connection.makefile("r") as answers:
            pid = int(answers.readline())
            begun(pid)
            connection.settimeout(seconds)
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.killpg(pid, signal.SIGKILL)
                raise
        printed.seek(0)
        return code, printed.read().decode("utf-8", "backslashreplace")


@functools.cache
def server(stage: str) -> str:
    """Start the process that forks, once; returns its socket. It ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="osft-warm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    python = Path(executable(stage)).with_name("python")
    program = Path(__file__).with_name("fork_server.py")
    process = subprocess.Popen(
        [python, program, folder / "socket", READY[stage]],
        env=stage_env(folder / "workspace", folder, OFFLINE if stage == "eval" else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    atexit.register(process.communicate)  # which ends its standard input
    return str(folder / "socket")
