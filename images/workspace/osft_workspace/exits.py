"""Exit codes, and the three errors that choose them.

The chart maps the codes with `podFailurePolicy`: 2 and 3 end a run at once, everything else is retried.
"""

import errno

import click

DONE = 0
BUG = 1
USER = 2
REFUSED = 3
TRANSIENT = 75  # EX_TEMPFAIL of sysexits.h

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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


def disk_full(error: OSError) -> UserError:
    """Turn "no space left" into a sentence that names the file and the way out."""
    where = f" at {error.filename}" if error.filename else ""
    return UserError(
        f"the disk is full{where} ({error.strerror}). Free space or give the workspace a larger volume "
        "(workspace.size), then start again: finished stages are kept."
    )
