"""What encoding takes of memory, and how many processes for it fit into the container's."""

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from osft_workspace import UserError

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of the container, in version 2 and version 1 of cgroups."""
STAGE, PROCESS = 160 << 20, 32 << 20
"""Bytes of the stage itself, and of a process beside what it shares with the stage, without a tokenizer."""
ENCODING = 88 << 20
"""Bytes that encoding may take beyond what the loaded tokenizer has; a row of 128k tokens takes half."""
LOADING, TIMES_FILES, MOST_LOADING = 64 << 20, 64, 512 << 20
"""Loading a tokenizer takes up to 1 kB for each token, of which compact files hold 20 bytes. The last
bound is twice what the largest vocabularies of language models need: 262,144 tokens."""
USUAL, TIMES_LONG, MOST_LONG = 128 << 10, 1024, 192 << 20
"""Bytes of a portion of usual rows, and address space that each further byte allows, up to a bound. Half of
it is used: `tokens.MOST_TOKENS` tokens take 110 MB at most."""


def loading_memory(folder: Path) -> int:
    """Bytes that loading the tokenizer may take: a vocabulary needs many times its file."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != "config.json"]
    return min(LOADING + TIMES_FILES * sum(path.stat().st_size for path in files), MOST_LOADING)


def long_memory(size: int) -> int:
    """Bytes that a portion of rows of so many bytes may take beyond `ENCODING`."""
    return min(TIMES_LONG * max(0, size - USUAL), MOST_LONG)


def fitting(folder: Path, limits: Sequence[Path] = LIMITS) -> int:
    """Return how many processes fit into the container's memory, at least 1; very many without a limit."""
    for path in limits:
        with suppress(OSError, ValueError):  # "max"
            room = int(path.read_text()) - STAGE
            # Few files are that compact, and the processes do not all load at the same moment.
            return max(1, room // (PROCESS + loading_memory(folder) // 2 + ENCODING))
    return 1 << 30


def give_back() -> None:
    """Return freed memory to the system: loading a tokenizer leaves more behind than the tokenizer takes."""
    with suppress(OSError, AttributeError):  # not in every C library
        ctypes.CDLL(None).malloc_trim(0)


def too_large(most: int) -> UserError:
    """Return the error for a tokenizer that takes too much memory."""
    return UserError(
        f"loading the base model's tokenizer takes more than {most >> 20} MiB of memory, which its files do "
        "not explain, or the pod's memory ran out. Look for a list of extreme length in its JSON files, "
        "raise data.pod.resources.limits.memory, or use another base model (model.uri)."
    )
