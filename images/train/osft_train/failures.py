"""What a failed worker's log says, in a sentence and with the right exit code."""

import re
from collections.abc import Iterable

from osft_workspace import Transient, UserError
from osft_workspace.exits import StageError

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
RANK = re.compile(r"^\[(rank)?\d+\]:\s*")
EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Interrupt)\b.*")
LAUNCHER = re.compile(r"ChildFailedError|SignalException|torch\.distributed\.elastic|torch\.multiprocessing")
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
OF_MODEL = re.compile(r"^osft_workspace\.exits\.UserError: (.*)", re.MULTILINE)
"""What our own guards raise inside a worker: the sentence is whole."""
NOT_NUMBERS = re.compile(r"linalg\.svd\b.*non-finite values")
"""In the decomposition before the first step: nothing has been trained, so the base model holds them."""
LOST_STATE = re.compile(r"the full state cannot be loaded: (.*)")
"""What the worker says of a state that is damaged or of another training."""
DISK = "No space left on device"
NO_END = "Tokenizer has neither pad_token_id nor eos_token_id"


class StateLost(Transient):
    """The full state to resume from cannot be loaded; training resumes from an earlier one or from step 0."""


def clean(lines: Iterable[str]) -> list[str]:
    """Lines without colour and rank, empty ones left out."""
    found = (RANK.sub("", ANSI.sub("", line).rstrip()) for line in lines)
    return [line for line in found if line.strip()]


def cause(lines: list[str]) -> str:
    """Return the line that says what went wrong, or the last few."""
    errors = [line for line in lines if EXCEPTION.match(line) and not LAUNCHER.search(line)]
    return errors[-1] if errors else " | ".join(line.strip() for line in lines[-LAST_LINES:])


def explain(lines: Iterable[str], log: str, max_tokens_per_gpu: int) -> StageError:
    """Return the error for a worker that failed.

    Args:
        lines: the end of its log.
        log: where the whole log lies.
    """
    lines = clean(lines)
    text, said = "\n".join(lines), cause(lines)
    if lost := LOST_STATE.search(text):
        return StateLost(f"the full state of an earlier start cannot be loaded: {lost[1]}. Start again.")
    where = f"The whole log is {log}."
    if advice := of_inputs(text, said) or of_memory(text, said, max_tokens_per_gpu):
        return UserError(f"{advice} {where}")
    if NETWORK.search(text):
        return Transient(f"the training processes lost each other: {said}. A new start resumes. {where}")
    if STOPPED.search(text):
        return Transient(f"the training processes were stopped: {said}. The next start resumes. {where}")
    return StageError(f"training failed: {said}. {where}")


def of_inputs(text: str, said: str) -> str:
    """Return the sentence for a volume or a model that must be another; empty for any other failure."""
    if DISK in text and "/dev/shm" in text:
        return f"/dev/shm is full: {said}. Raise train.pod.shmSize."
    if DISK in text:
        return f"the worker stopped: {DISK}. Give the workspace a larger volume (workspace.size)."
    if own := OF_MODEL.search(text):
        return own[1]
    if NOT_NUMBERS.search(text):
        return (
            "the base model's weights hold values that are not numbers (NaN or infinite), so they cannot be "
            "decomposed; expected finite values. Load the model again, or choose another base model "
            "(model.uri)."
        )
    if NO_END in text:
        return (
            "the base model's tokenizer has neither an end-of-text token (eos_token) nor a padding token "
            "(pad_token), expected one of them. Set eos_token in its tokenizer_config.json, or choose "
            "another base model (model.uri)."
        )
    return ""


def of_memory(text: str, said: str, max_tokens_per_gpu: int) -> str:
    """Return the sentence for memory that ran out; empty for any other failure."""
    if GPU_MEMORY.search(text):
        return (
            f"a GPU ran out of memory: {said}. Lower train.maxTokensPerGpu (now {max_tokens_per_gpu}) and, "
            "if necessary, train.maxSequenceLength; or use more GPUs (train.gpus, train.nodes): OSFT needs "
            "as much memory as full fine-tuning, lora and qlora (train.method) need less."
        )
    if HOST_MEMORY.search(text):
        return (
            "a worker process was killed (SIGKILL), which the kernel does when memory runs out. Raise "
            f"train.pod.resources.limits.memory, or lower train.maxTokensPerGpu (now {max_tokens_per_gpu}) "
            "or the processes of a node (train.processesPerNode)."
        )
    return ""
