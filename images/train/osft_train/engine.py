"""One call of training_hub, with the worker started our way and its end judged.

training_hub and mini-trainer do the work unchanged. The launcher that starts torchrun is a subclass of
theirs: it starts `osft_train.worker` in place of mini-trainer's script, adds the arguments that mini-trainer
forgets, keeps the log, and ties the processes to this one's life.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from osft_train import failures, metrics, patches, states
from osft_train.adapters import Adapter
from osft_train.arguments import Call
from osft_train.boards import opened
from osft_train.devices import Device, worker_env
from osft_train.patches import original, put
from osft_train.progress import Watch
from osft_train.worker import launch
from osft_train.worker_log import WorkerLog
from osft_workspace import Run, Transient, UserError, printable, redact_text
from osft_workspace.exits import StageError

WORKER_SCRIPT = "mini_trainer/train.py"
LAUNCHER = "mini_trainer.api_train:StreamablePopen"


@dataclass(slots=True)
class Job:
    """One call and what is known of its worker."""

    run: Run
    function: Callable[..., Any]
    call: Call
    device: Device
    checkpoints: Path
    log: Path
    total: int | None
    """Optimizer steps of the whole run."""
    done: int
    """Steps trained by an earlier start."""
    matrices: int
    """Matrices that must be decomposed; 0 for training without OSFT."""
    factors: Path | None
    """Folder where their decompositions are kept."""
    checkpoint_seconds: float
    owner: str = ""
    """Digest of everything that decides the result; full states are sealed with it."""
    adapter: Adapter | None = None
    """What is trained in place of the base model's own weights."""
    node_rank: int = 0
    stop_file: Path = field(default_factory=lambda: Path(f"/dev/shm/osft-train-{os.getpid()}"))
    """By which mini-trainer asks the workers to save their state and end: all runs on a machine share the one
    that it has."""
    board: Path | None = None
    """Folder for TensorBoard event files; none on other nodes than the first."""
    process: BaseProcess | None = None
    """torchrun."""
    said: WorkerLog = field(init=False)
    """What the worker's log says."""
    stopped: BaseException | None = None
    """SIGTERM or Ctrl-C, where the backend does not handle it itself."""
    verdict: StageError | None = None
    """Why we ended the worker."""

    def __post_init__(self) -> None:
        self.said = WorkerLog(self.run, self.matrices, self.end_with)

    def command(self, theirs: list[str]) -> list[str]:
        """torchrun's words, after mini-trainer's command line: our worker, and everything it forgets."""
        at = next(number for number, word in enumerate(theirs) if str(word).endswith(WORKER_SCRIPT))
        more = [f"--{name.replace('_', '-')}={value}" for name, value in self.call.worker.items()]
        worker = launch.FORK if self.device.name == "cpu" else launch.PROGRAM
        return ["--signals-to-handle=SIGHUP", *theirs[1:at], *worker, *theirs[at + 1 :], *more]

    def env(self) -> dict[str, str]:
        """Return the worker's environment."""
        return {
            **worker_env(self.device),
            "OSFT_TRAIN_DEVICE": self.device.name,
            "OSFT_TRAIN_COMPUTE": self.device.compute,
            "OSFT_TRAIN_KEEP_ACTIVATIONS": str(int(self.device.keep_activations)),
            "OSFT_TRAIN_CHECKPOINT_SECONDS": str(self.checkpoint_seconds),
            "OSFT_TRAIN_OWNER": self.owner,
            "OSFT_TRAIN_FACTORS": str(self.factors or ""),
            "OSFT_TRAIN_ADAPTER": self.adapter.written() if self.adapter else "",
            "OSFT_TRAIN_STEPS": str(self.total or 0),
            "OSFT_TRAIN_STOP_FILE": str(self.stop_file),
            "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",  # whatever mini-trainer asks for: see worker/guarded.py
        }

    def read(self, output: int) -> None:
        """Read what torchrun and the workers print to its end, and keep it in the log."""
        with (
            os.fdopen(output, encoding="utf-8", errors="replace") as printed,
            self.log.open("w", encoding="utf-8") as log,
        ):
            for line in filter(str.strip, printed):
                plain = failures.ANSI.sub("", line.rstrip("\n"))
                log.write(printable(redact_text(plain)) + "\n")
                log.flush()
                self.said.read(line)

    def kill(self) -> None:
        """End the worker and everything it started, at once."""
        if self.process is not None and self.process.pid is not None:
            with suppress(ProcessLookupError):  # it has ended, or has no group yet
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()

    def end_with(self, error: StageError) -> None:
        """End the worker for a reason of ours."""
        self.verdict = self.verdict or error
        self.kill()


def launcher(job: Job) -> type:
    """mini-trainer's launcher, for this job."""

    class Launcher(original(LAUNCHER)):  # type: ignore[misc]
        def __init__(self, log_file: str, command: list[str]) -> None:
            super().__init__(str(job.log), job.command(command))

        def listen(self) -> None:
            """Start torchrun and read what it and the workers print."""
            job.process, output = launch.start(self.command, job.env())
            try:
                job.read(output)
                job.process.join()
            except BaseException as error:
                job.stopped = error
                job.kill()
                raise

        def poll(self) -> int | None:
            """Return its exit code, or None while it runs."""
            return job.process.exitcode if job.process else None

        def wait(self, timeout: float | None = None) -> None:
            """Wait for its end, for so many seconds at most."""
            if job.process:
                job.process.join(timeout)

        def kill(self) -> None:
            """End it and the workers at once."""
            job.kill()

        terminate = kill

    return Launcher


def backend(job: Job) -> type:
    """training_hub's backend, which starts our launcher."""
    from mini_trainer import api_train
    from training_hub import MiniTrainerOSFTBackend

    class Backend(MiniTrainerOSFTBackend):  # type: ignore[misc]
        def execute_training(self, algorithm_params: dict[str, Any]) -> Any:
            stock = original(LAUNCHER)
            put(LAUNCHER, launcher(job))
            api_train.print = lambda *_: None  # the whole command line, unredacted
            try:
                return super().execute_training(algorithm_params)
            finally:
                put(LAUNCHER, stock)
                del api_train.print

    return Backend


def train(job: Job) -> None:
    """Run the backend until its worker ends.

    Raises:
        UserError, Transient, StageError: the worker failed, and why.
    """
    from training_hub import AlgorithmRegistry

    patches.check()
    states.ask_by(job.stop_file)
    AlgorithmRegistry.register_backend("osft", job.device.backend, backend(job))
    try:
        with opened(job.run, job.board, job.checkpoints, job.done) as each, watch(job, each):
            job.function(**job.call.arguments)
    except Exception as error:
        raise reason(job, error) from None
    finally:
        job.kill()
    check_protected(job)


def watch(job: Job, each: Callable[[dict[str, Any]], None]) -> Watch:
    """Return what follows the worker's steps and ends it when they lead nowhere."""
    early = "SIGTERM received before the first step of this start: nothing was lost. Start again to continue."
    return Watch(
        job.run,
        metrics.raw_file(job.checkpoints, job.node_rank),
        total=job.total,
        done=job.done,
        report=job.node_rank == 0,
        each=each,
        lost=lambda step: job.end_with(metrics.diverged(step)),
        stop_file=job.stop_file,
        doing=lambda: job.said.doing,
        too_early=lambda: job.end_with(Transient(early)),
    )


def reason(job: Job, error: Exception) -> BaseException:
    """Return why the backend failed: as we ended it, as its arguments say, or as the worker's log reports."""
    if ended := job.verdict or job.stopped:
        return ended
    if job.process is not None:
        return failures.explain(job.said.tail, str(job.log), job.call.arguments["max_tokens_per_gpu"])
    if isinstance(error, ImportError):
        return UserError(f"this image lacks a package that the arguments require: {error}")
    if isinstance(error, ValueError | TypeError):
        return UserError(f"training_hub rejected the arguments: {error}")
    return error


def check_protected(job: Job) -> None:
    """Raise StageError if the worker never logged how many matrices it protects, as it is then unknown."""
    if job.matrices and not job.said.counted:
        raise StageError(
            f"mini-trainer's log does not say that it decomposed {job.matrices} weight matrices, so "
            f"nothing shows that they were protected. Use the image of this version; the log is {job.log}."
        )
