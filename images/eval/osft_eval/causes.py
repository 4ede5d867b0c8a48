"""Errors of libraries as sentences.

What a task file, an item, a model or a setting makes a library raise cannot be cured by a retry: it ends with
exit code 2 and names its cause. A broken device, a disk that does not answer and our own faults stay what
they are, because a retry on another node, or a developer, helps with those.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from osft_workspace import UserError, excerpt
from osft_workspace.exits import causes

OWN_CODE = str(Path(__file__).parent)
LONGEST_CAUSE = 400  # characters of a library's words in a sentence
READ = 20_000
NETWORK = frozenset({"aiohttp", "httpcore", "httpcore2", "httpx", "httpx2", "requests", "urllib3"})
DEVICES = ("CUDA", "cuDNN", "CUBLAS", "NCCL")
MISSING = frozenset({None, errno.ENOENT})


@contextmanager
def named(what: str, remedy: str) -> Iterator[None]:
    """Turn an error that the inputs of a library cause into one sentence.

    Raises:
        UserError: `what`, the library's own words, then `remedy`.
    """
    try:
        yield
    except Exception as error:
        if not is_of_inputs(error):
            raise
        raise UserError(f"{what} ({shown(error)}). {remedy}") from error


def is_of_inputs(error: Exception) -> bool:
    """Return whether what a library was given makes it raise this error, every time."""
    if isinstance(error, click.ClickException | MemoryError) or is_network(error):
        return False
    if isinstance(error, OSError) and error.errno not in MISSING:
        return False
    if type(error).__name__ == "OutOfMemoryError":  # torch's: the model is larger than the GPU
        return True
    if isinstance(error, RuntimeError) and any(word in str(error)[:READ] for word in DEVICES):
        return False
    return not is_ours(error)


def is_network(error: BaseException) -> bool:
    """Return whether a server's absence is behind an error."""
    return any(
        isinstance(seen, ConnectionError | TimeoutError) or type(seen).__module__.partition(".")[0] in NETWORK
        for seen in causes(error)
    )


def is_ours(error: BaseException) -> bool:
    """Return whether a line of this package, and no library, raised an error."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_filename.startswith(OWN_CODE)


def shown(error: BaseException) -> str:
    """Return a library's words on one line, with the kind of the error."""
    words = " ".join(str(error)[:READ].split()).rstrip(".")
    return excerpt(f"{type(error).__name__}: {words}" if words else type(error).__name__, LONGEST_CAUSE)
