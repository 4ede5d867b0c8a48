"""What a failed worker's log says, in a sentence and with the right exit code."""

import re
from collections.abc import Iterable

from osft_workspace import Transient, UserError
from osft_workspace.exits import StageError

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
RANK = re.compile(r"^\[(rank)?\d+\]:\s*")
EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Interrupt)\b.*")
LAUNCHER = re.compile(r"ChildFailedError|SignalException|torch\.distributed\.elastic")
LAST_LINES = 6

GPU_MEMORY = re.compile(r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED")
HOST_MEMORY = re.compile(
    r"exitcode\s*:\s*-9\b|Signal 9 \(SIGKILL\)|DefaultCPUAllocator: (can't|not enough)|^MemoryError",
    re.MULTILINE,
)
NETWORK = re.compile(
    r"RendezvousTimeoutError|RendezvousConnectionError|DistNetworkError|DistStoreError|ncclRemoteError|"
    r"ncclSystemError|Connection reset by peer|Connection closed by peer|NCCL timeout|EADDRINUSE"
)
STOPPED = re.compile(r"got signal: (15|2)\b|exitcode\s*:\s*-(15|2)\b")
DISK = "No space left on device"


def clean(lines: Iterable[str]) -> list[str]:
    """Lines without colour and rank, empty ones left out."""
    found = (RANK.sub("", ANSI.sub("", line).rstrip()) for line in lines)
    return [line for line in found if line.strip()]


def cause(lines: list[str]) -> str:
    """The line that says what went wrong, or the last few."""
    errors = [line for line in lines if EXCEPTION.match(line) and not LAUNCHER.search(line)]
    return errors[-1] if errors else " | ".join(line.strip() for line in lines[-LAST_LINES:])


def explain(lines: Iterable[str], log: str, max_tokens_per_gpu: int) -> StageError:
    """The error for a worker that failed.

    Args:
        lines: the end of its log.
        log: where the whole log lies.
    """
    lines = clean(lines)
    text, said = "\n".join(lines), cause(lines)
    where = f"The whole log is {log}."
    if DISK in text and "/dev/shm" in text:
        return UserError(f"/dev/shm is full: {said}. Raise train.pod.shmSize. {where}")
    if DISK in text:
        return UserError(
            f"the worker stopped: {DISK}. Give the workspace a larger volume (workspace.size). {where}"
        )
    if GPU_MEMORY.search(text):
        return UserError(
            f"a GPU ran out of memory: {said}. Lower train.maxTokensPerGpu (now {max_tokens_per_gpu}) and, "
            "if it must be, train.maxSequenceLength; or use more GPUs (train.gpus, train.nodes): OSFT needs "
            f"as much memory as full fine-tuning. {where}"
        )
    if HOST_MEMORY.search(text):
        return UserError(
            "a worker process was killed (SIGKILL), which the kernel does when memory runs out. Raise "
            f"train.pod.resources.limits.memory, or lower train.maxTokensPerGpu (now {max_tokens_per_gpu}) "
            f"or the processes of a node (train.processesPerNode). {where}"
        )
    if NETWORK.search(text):
        return Transient(f"the training processes lost each other: {said}. A new start goes on. {where}")
    if STOPPED.search(text):
        return Transient(f"somebody stopped the training processes: {said}. A new start goes on. {where}")
    return StageError(f"training failed: {said}. {where}")
