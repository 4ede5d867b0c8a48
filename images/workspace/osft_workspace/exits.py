"""Exit codes, and the three errors that choose them.

The chart maps the codes with `podFailurePolicy`: 2 and 3 end a run at once, everything else is retried.
"""

import errno
import os
from collections.abc import Iterator

import click

DONE = 0
BUG = 1
USER = 2
REFUSED = 3
TRANSIENT = 75  # EX_TEMPFAIL of sysexits.h

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
NO_PATH = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP})
LONGEST_SHOWN = 200  # characters of a path in a sentence


class StageError(click.ClickException):
    """An end that is expected: one sentence (seen, expected, what to do) and an exit code."""

    exit_code = BUG


class UserError(StageError):
    """Somebody must change data, values, credentials or the workspace; trying again cannot help."""

    exit_code = USER


class Refused(StageError):
    """A gate said no. Nothing is broken and nothing goes on."""

    exit_code = REFUSED


class Transient(StageError):
    """A network, registry or node was away; the same call may work later."""

    exit_code = TRANSIENT


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from: libraries wrap the few real causes in types of their own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def disk_full(error: OSError) -> UserError:
    """Turn "no space left" into a sentence that names the file and the way out."""
    where = f" at {error.filename}" if error.filename else ""
    return UserError(
        f"the disk is full{where} ({error.strerror}). Free space or give the workspace a larger volume "
        "(workspace.size), then start again: finished stages are kept."
    )


def unusable_path(error: OSError) -> UserError | None:
    """The sentence for a path that this uid may not use, or that is none; None for any other error."""
    path = str(error.filename or "")[:LONGEST_SHOWN]
    if path and error.errno in NOT_ALLOWED:
        return UserError(
            f"uid {os.getuid()} may not use {path} ({error.strerror}). The workspace must be mounted "
            "read-write and be writable by group 0 (mode 2775), sources readable for group 0."
        )
    if path and error.errno in NO_PATH:
        return UserError(f"{path} cannot be used ({error.strerror}). Correct the path, or what lies there.")
    return None
