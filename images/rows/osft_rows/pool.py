"""Encoding in other processes: one for each processor, bounded in time and memory, in the order of rows."""

import gc
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from pathlib import Path
from resource import RLIMIT_DATA, getrlimit
from typing import Any, Self, TypeVar

import orjson

from osft_rows.bounds import SECONDS, bounded, endless, seconds_for
from osft_rows.encoder import Facts, Result, RowEncoder, preview
from osft_rows.loading import import_libraries
from osft_rows.memory import ENCODING, USUAL, fitting, give_back, loading_memory, long_memory, too_large
from osft_rows.settings import Settings
from osft_workspace import UserError
from osft_workspace.cpus import usable_cpus
from osft_workspace.limits import allow_memory, limit_memory, limited_memory
from osft_workspace.parent import die_with_parent

T = TypeVar("T")
ROWS_PER_PROCESS = 2000
"""Fewer rows than this do not pay for the start of another process."""
MOST_PROCESSES = 16
START_SECONDS, SPARE_SECONDS = 60.0, 25.0
"""Time for the first process to start and to load the tokenizer, and for others, which do so meanwhile."""
GARBAGE = 100_000
"""Objects between two searches for cycles."""
WAITING, MOST_WAITING = 3, 4 << 20
"""Portions of rows on their way for each process, and bytes of all rows on their way."""


class Encoders:
    """Processes that encode rows. Use it as a context; leaving it ends them.

    They are forked, so that they share what the stage has imported: importing transformers again would take
    2 s and 40 MB each. That is safe because they begin before the pool's own thread, and because no thread of
    a stage holds a lock that encoding takes.

    Args:
        rows: about how many rows are to come.

    Attributes:
        limited: whether more processes would be of use and do not fit into the container's memory.
    """

    def __init__(self, settings: Settings, rows: int) -> None:
        wanted = -(-rows // ROWS_PER_PROCESS)
        self.settings, fits = settings, fitting(Path(settings.model))
        wanted = max(1, min(usable_cpus(), MOST_PROCESSES, wanted))
        self.processes, self.limited = min(wanted, fits), fits < wanted
        import_libraries()
        gc.collect()
        gc.freeze()  # searching for cycles would write to the memory that the processes share
        self.pool = ProcessPoolExecutor(
            self.processes,
            get_context("fork"),
            initializer=start_process,
            initargs=(settings, os.getpid()),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def facts(self) -> Facts:
        """Return what the tokenizer is. Raises UserError where it cannot be loaded."""
        try:
            answer(self.pool.submit(load), START_SECONDS)
        except BrokenProcessPool as error:  # the tokenizers library ends the process
            raise too_large(loading_memory(Path(self.settings.model))) from error
        return answer_of_rows(self.pool.submit(describe))

    def encode(self, portions: Iterable[Sequence[bytes]], *, prompts: bool = False) -> Iterator[list[Result]]:
        """Encode portions of rows; results come in the order of the portions, and memory stays flat.

        Args:
            prompts: also give what evaluation asks: prompt, reference and messages of the last answer.

        Raises:
            UserError: the template does not end, memory ran out, or the model cannot write such rows.
        """
        waiting: deque[tuple[Future[list[Result]], int]] = deque()
        held = 0
        for portion in portions:
            lines = list(portion)
            waiting.append((self.pool.submit(encode, lines, prompts), size_of(lines)))
            held += size_of(lines)
            while waiting and (len(waiting) > WAITING * self.processes or held > MOST_WAITING):
                future, size = waiting.popleft()
                held -= size
                yield answer_of_rows(future, seconds_for(size))
        while waiting:
            future, size = waiting.popleft()
            yield answer_of_rows(future, seconds_for(size))

    def previews(self, lines: Sequence[bytes], longest: int) -> list[list[dict[str, Any]]]:
        """Encoded rows as text; see `encoder.preview`."""
        return answer_of_rows(self.pool.submit(show, list(lines), longest))


def size_of(lines: Sequence[bytes]) -> int:
    """Bytes of a portion of rows."""
    return sum(map(len, lines))


def answer(future: "Future[T]", seconds: float = SECONDS) -> T:
    """Return what a process returned.

    Raises:
        UserError: it does not end.
        BrokenProcessPool: it was killed.
    """
    try:
        return future.result(SPARE_SECONDS + 2 * seconds)
    except TimeoutError as error:
        # What runs in C, such as a number of a billion digits, does not hear the process's own alarm.
        for process in active_children():
            process.kill()
        raise endless(seconds) from error


def answer_of_rows(future: "Future[T]", seconds: float = SECONDS) -> T:
    """As `answer`, for rows. Raises UserError where the process was killed."""
    try:
        return answer(future, seconds)
    except BrokenProcessPool as error:
        raise UserError(
            "a process that turns rows into tokens was killed: it took more than "
            f"{ENCODING >> 20} MiB beyond the tokenizer, or the pod's memory ran out. Look for a row of "
            "extreme length (data.uri), a chat template or tokenizer that multiplies the text (model.uri), "
            "or raise data.pod.resources.limits.memory."
        ) from error


_settings: Settings | None = None
_encoder: RowEncoder | None = None
_limit = 0
"""Bytes that this process may take for usual rows."""


def start_process(settings: Settings, parent: int) -> None:
    """Make a process ready; the tokenizer is loaded with the first rows, where its errors can be said."""
    global _settings
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage ends its processes itself
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # in place of what the stage does then
    _settings = settings


def encoder() -> RowEncoder:
    """This process's encoder. Raises UserError where the tokenizer cannot be loaded."""
    global _encoder, _limit
    if _encoder is None:
        assert _settings is not None
        most = loading_memory(Path(_settings.model))
        try:
            with limited_memory(most):
                _encoder = RowEncoder(_settings)
        except MemoryError as error:
            raise too_large(most) from error
        give_back()
        limit_memory(ENCODING)
        _limit, _ = getrlimit(RLIMIT_DATA)
        # Rows leave no cycles behind: looking for some after every few of them costs a twelfth of the time.
        gc.freeze()
        gc.set_threshold(GARBAGE)
    return _encoder


def encode(lines: list[bytes], prompts: bool) -> list[Result]:
    """Encode a portion in this process."""
    made = encoder()
    size = size_of(lines)
    allow_memory(long_memory(size), _limit)
    with bounded(seconds_for(size)):
        try:
            return made.encode(lines, prompts=prompts)
        finally:
            if size > USUAL:
                give_back()


def load() -> None:
    """Load this process's tokenizer."""
    encoder()


def describe() -> Facts:
    """Return the facts of this process's tokenizer."""
    made = encoder()
    with bounded(SECONDS):
        return made.facts()


def show(lines: list[bytes], longest: int) -> list[list[dict[str, Any]]]:
    """Encoded rows as text."""
    tokenizer = encoder().tokenizer
    return [preview(tokenizer, orjson.loads(line), longest) for line in lines]
