"""Bounds of the time that rows may take, and sentences for what a template or a tokenizer does wrong."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from osft_rows.memory import ENCODING
from osft_workspace import UserError, excerpt

SECONDS, BYTES_PER_SECOND = 15.0, 200_000
"""Time for a portion of rows, and more of it for long ones: what takes longer does not end, or takes days."""


def seconds_for(size: int) -> float:
    """Return how long a portion of rows of so many bytes may take."""
    return SECONDS + size / BYTES_PER_SECOND


def endless(seconds: float) -> UserError:
    """Return the error for rows that take too long."""
    return UserError(
        f"the base model's chat template or tokenizer did not end within {seconds:.0f} s for a few rows. A "
        "loop in it may not end: fix chat_template or tokenizer.json of the model, or use another base model "
        "(model.uri)."
    )


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Bound the time of templates, and name what a tokenizer raises. Raises UserError."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except UserError:
        raise
    except TimeoutError as error:
        raise endless(seconds) from error
    except MemoryError as error:
        raise UserError(
            f"encoding a few rows took more than {ENCODING >> 20} MiB of memory. Look for a "
            "row of extreme length in the data (data.uri), or a chat template that repeats it."
        ) from error
    except BaseException as error:  # tokenizers panics in Rust, which is not an Exception and cannot be sent
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(
            f"the base model's tokenizer failed on the rows ({type(error).__name__}: "
            f"{excerpt(str(error), 300)}). Check tokenizer.json and tokenizer_config.json of the model, or "
            "use another base model (model.uri)."
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
