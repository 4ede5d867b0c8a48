"""Starts of the stages without the imports of their libraries, most of the time of a short one.

The same console script runs with the same words and environment, in a fork of a process that has imported its
libraries. Where a stage measures its own memory, a signal is sent, or a variable is set that a library reads
when it is imported, a test starts the program itself.
"""

import functools
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support import own_port
from tests.support.sandbox import executable, stage_env

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""As the chart sets for eval."""
READY = {
    "download": "import osft_download.stage, transformers.models.auto.tokenization_auto",
    "train": (
        "from osft_train import devices, options\n"
        "devices.prepare_process(options.Options(gpus=0))\n"
        "import osft_train.engine, osft_train.stage, osft_train.tune\n"
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
FOR_A_HUB = (
    "from osft_download import hub, options\n"
    "hub.set_defaults(options.Options().timeout_seconds)\n"
    "import datasets, huggingface_hub\n"
)
"""What download imports besides, where it asks a hub; the memory of other starts must not have it."""
READ_WHEN_NEEDED = ("OSFT_", "AWS_", "HF_TOKEN", "PET_", "WANDB_API_KEY", "MLFLOW_", "KUBEFLOW_", "ONEDNN_")
"""What other variables may begin with, beside those of every start."""


def knows(command: Sequence[str]) -> bool:
    """Return whether this is the console script of a stage."""
    return any(command[0] == executable(stage) for stage in READY)


def may_fork(env: Mapping[str, str], command: Sequence[str] = ()) -> bool:
    """Return whether a start with these variables, beside those of every start, may be a fork."""
    hub = {"HF_ENDPOINT": own_port.url()}
    if env.get("HF_ENDPOINT") and any(word.startswith("--timeout-seconds") for word in command):
        return False  # the hub's library takes it when it is imported
    return all(name.startswith(READ_WHEN_NEEDED) or hub.get(name) == env[name] for name in env)


class Start:
    """A start of the console script of a stage in a fork, with what tests use of `subprocess.Popen`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it. Its process id is also that of its session."""
        self.args = list(command)
        self.returncode: int | None = None
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115  # read when it has ended
        self.connection = socket.socket(socket.AF_UNIX)
        message = json.dumps({"command": self.args, "env": dict(env)}).encode() + b"\n"
        stage = Path(command[0]).name.removeprefix("osft-")
        asks = stage == "download" and "HF_ENDPOINT" in env
        self.connection.connect(server(stage, **({"HF_ENDPOINT": env["HF_ENDPOINT"]} if asks else {})))
        sent = socket.send_fds(self.connection, [message], [self.printed.fileno()])
        if sent < len(message):
            # Not otherwise: a start may have ended by now, and sending even nothing is then a broken pipe.
            self.connection.sendall(message[sent:])
        self.answers = self.connection.makefile("r")
        self.pid = int(self.answers.readline())

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        if self.returncode is None and select.select([self.connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code. Raises TimeoutError where it runs on for so many seconds."""
        if self.returncode is None:
            self.connection.settimeout(timeout)
            self.returncode = int(self.answers.readline())
            self.connection.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for its end; return what it printed on both streams. Raises TimeoutError."""
        self.wait(timeout)
        self.printed.seek(0)
        return self.printed.read().decode("utf-8", "backslashreplace"), None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it; processes that it started live on, as after `Popen.kill`."""
        self.send_signal(signal.SIGKILL)


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
    start = Start(command, env)
    begun(start.pid)
    try:
        printed, _ = start.communicate(seconds)
    except TimeoutError:
        os.killpg(start.pid, signal.SIGKILL)
        raise
    return start.wait(), printed


def output(stage: str, code: str, *args: str | Path) -> str:
    """Return what Python code prints, run in a fork that has what a stage imports, as `python -c` would."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / f"osft-{stage}"
        script.write_text(code)
        ended, printed = run([str(script), *map(str, args)], os.environ, seconds=280)
    assert ended == 0, printed
    return printed


@functools.cache
def server(stage: str, **hub: str) -> str:
    """Return the socket of the process that forks.

    All processes of a test run share it, except that each has its own for its hub. The first that asks starts
    it; it ends with the test run.
    """
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ and not hub else os.getpid()
    folder = Path(tempfile.gettempdir()) / f"osft-warm-{owner}-{stage}{'-hub' if hub else ''}"
    path = folder / "socket"
    try:
        folder.mkdir()
    except FileExistsError:
        while not path.exists():
            time.sleep(0.02)
        return str(path)
    subprocess.Popen(
        [
            Path(executable(stage)).with_name("python"),
            Path(__file__).with_name("fork_server.py"),
            path,
            FOR_A_HUB + READY[stage] if hub else READY[stage],
            str(owner),
        ],
        env=stage_env(folder / "workspace", folder, (OFFLINE if stage == "eval" else {}) | hub),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not path.exists():
        time.sleep(0.02)
    return str(path)
