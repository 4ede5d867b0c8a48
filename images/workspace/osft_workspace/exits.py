"""Exit codes, and the three errors that choose them.

The chart maps the codes with `podFailurePolicy`: 2 and 3 end a run at once, everything else is retried.
"""

import errno
import os
import re
import traceback
from collections.abc import Iterator

import click

from osft_workspace.redact import redact_text
from osft_workspace.text import excerpt, printable, sentence

DONE = 0
BUG = 1
USER = 2
REFUSED = 3
TRANSIENT = 75  # EX_TEMPFAIL of sysexits.h

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
NO_PATH = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP})
LONGEST_SHOWN = 200  # characters of a path in a sentence
NESTED_READERS = ("/json/", "/yaml/", "/jinja2/", "/osft_workspace/")  # they call themselves for each level
WORD_ENDS = re.compile(r"[\"'\n\r\0]")


class StageError(click.ClickException):
    """An expected error: one message (what was found, what was expected, what to do) and an exit code."""

    exit_code = BUG

    def __init__(self, message: str) -> None:
        super().__init__(sentence(redact_text(message)))


class UserError(StageError):
    """Data, values, credentials or the workspace must be fixed; a retry cannot help."""

    exit_code = USER


class Refused(StageError):
    """The gate failed: the result is complete, and the run does not continue."""

    exit_code = REFUSED


class Transient(StageError):
    """A network, registry or node was unavailable; a retry may succeed."""

    exit_code = TRANSIENT


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from: libraries wrap the few real causes in types of their own."""
    seen: BaseException | None = error
    known: set[int] = set()
    while seen is not None and id(seen) not in known:  # an error that is raised again may be its own cause
        yield seen
        known.add(id(seen))
        seen = seen.__cause__ or seen.__context__


def disk_full(error: OSError) -> UserError:
    """Turn "no space left" into a sentence that names the file and how to fix it."""
    where = f" at {error.filename}" if error.filename else ""
    return UserError(
        f"the disk is full{where} ({error.strerror}). Free space or give the workspace a larger volume "
        "(workspace.size), then start again: finished stages are kept."
    )


def unusable_path(error: OSError) -> UserError | None:
    """Return the message for a path that this uid may not use or that does not exist; None otherwise."""
    path = printable(error.filename or "", LONGEST_SHOWN)
    if path and error.errno in NOT_ALLOWED:
        return UserError(
            f"uid {os.getuid()} may not use {path} ({error.strerror}). The workspace must be mounted "
            "read-write and be writable by group 0 (mode 2775), sources readable for group 0."
        )
    if path and error.errno in NO_PATH:
        return UserError(f"{path} cannot be used ({error.strerror}). Correct the path, or the file there.")
    return None


def unusable_input(error: BaseException) -> UserError | None:
    """Return the sentence for a name, text or size of an input that no check foresaw; otherwise None."""
    for seen in causes(error):
        if isinstance(seen, UnicodeEncodeError):
            name = excerpt(word_at(seen.object, seen.start))
            return UserError(
                f"'{name}' is not UTF-8, expected the name of a file or folder, or a value, that is. Rename "
                "it, or correct the value, then start again."
            )
        if isinstance(seen, UnicodeDecodeError):
            near = excerpt(seen.object[max(seen.start - 20, 0) : seen.start + 20])
            return UserError(
                f"byte {seen.start} of a file or an answer is not UTF-8 (near '{near}'), expected "
                "UTF-8 text. Correct that file of the data or the model."
            )
        if isinstance(seen, RecursionError) and is_nested(seen):
            return UserError(
                f"a JSON, YAML or template text is nested deeper than can be read ({seen}), expected at most "
                "a few hundred levels. Correct that file of the data or the model."
            )
        if isinstance(seen, MemoryError):
            return UserError(
                f"the stage ran out of memory ({excerpt(str(seen)) or 'no more was available'}). Give it a "
                "larger memory limit (resources of this stage), or smaller data or a smaller model."
            )
    return None


def word_at(text: str, place: int) -> str:
    """Return what stands around a place in a text, between quotes or line breaks."""
    before = WORD_ENDS.split(text[max(place - LONGEST_SHOWN, 0) : place])[-1]
    return before + WORD_ENDS.split(text[place : place + LONGEST_SHOWN])[0]


def is_nested(error: RecursionError) -> bool:
    """Return whether a text with too many levels went through a reader, not our code through itself."""
    if "JSON" in str(error) or "while encoding" in str(error):
        return True
    last = traceback.extract_tb(error.__traceback__)[-8:]
    return any(part in frame.filename for frame in last for part in NESTED_READERS)
