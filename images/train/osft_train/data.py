"""The training rows, tokenised once; every row that is left out is named before the first step."""

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from osft_train.rows import SHORTEST, Encoder
from osft_workspace import Run, UserError, write_atomic
from osft_workspace.cpus import usable_cpus

CHUNK = 200
"""Rows that one process takes at a time."""
MANY_ROWS = 5000
"""Rows from which on several processes are worth their start."""
MOST_PROCESSES = 16
"""Each imports transformers: more cost more memory than they save time."""
NAMED = 10
"""Line numbers that are told of each reason."""

REASONS = {
    "short": f"shorter than {SHORTEST} tokens",
    "long": "as long as train.maxSequenceLength or longer",
    "silent": "without a token to learn",
}


@dataclass(slots=True)
class Rows:
    """What was kept and what was not."""

    path: str
    kept: int = 0
    tokens: int = 0
    learned: int = 0
    """Tokens that count for the loss."""
    dropped: dict[str, list[int]] = field(default_factory=dict)
    """Reason -> line numbers in train.jsonl."""

    @classmethod
    def load(cls, path: Path) -> "Rows | None":
        """What an earlier start prepared, if it got that far."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None

    def count(self, reason: str) -> int:
        """Rows that were left out for a reason."""
        return len(self.dropped.get(reason, []))


Encoded = tuple[str, str, int, int]
"""The line to write or "", the reason it is left out, tokens, tokens to learn."""

_encoder: Encoder | None = None


def start_process(encoder: Encoder, parent: int) -> None:
    """Make a process ready to encode."""
    from osft_train.worker.parent import die_with_parent

    global _encoder
    die_with_parent(parent)
    encoder.load()
    _encoder = encoder


def encode_chunk(first: int, lines: list[bytes], encoder: Encoder | None = None) -> list[Encoded]:
    """Encode lines of train.jsonl; `first` is the number of the first one."""
    encoder = encoder or _encoder
    assert encoder is not None
    found: list[Encoded] = []
    for number, line in enumerate(lines, first):
        try:
            row, reason = encoder.encode(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"line {number} of train.jsonl cannot be tokenised: {error}. Mend it in the data (data.uri), "
                "or drop such rows before."
            ) from error
        if row is None:
            found.append(("", reason, 0, 0))
        else:
            text = json.dumps(row, separators=(",", ":")) + "\n"
            found.append((text, "", row["len"], row.get("num_loss_counted_tokens", row["len"])))
    return found


def chunks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Lines of a file in portions, with the number of each portion's first line."""
    with path.open("rb") as file:
        first, lines = 1, []
        for line in file:
            lines.append(line)
            if len(lines) == CHUNK:
                yield first, lines
                first, lines = first + len(lines), []
        if lines:
            yield first, lines


def encode_all(path: Path, encoder: Encoder, rows: int) -> Iterator[tuple[int, list[Encoded]]]:
    """Every portion of the file, encoded, in order; memory does not grow with the file."""
    cores = min(usable_cpus(), MOST_PROCESSES)
    if rows < MANY_ROWS or cores == 1:
        encoder.load()
        for first, lines in chunks(path):
            yield first, encode_chunk(first, lines, encoder)
        return
    with ProcessPoolExecutor(
        cores, get_context("spawn"), initializer=start_process, initargs=(encoder, os.getpid())
    ) as pool:
        waiting: deque[tuple[int, Future[list[Encoded]]]] = deque()
        for first, lines in chunks(path):
            waiting.append((first, pool.submit(encode_chunk, first, lines)))
            if len(waiting) > 3 * cores:
                number, future = waiting.popleft()
                yield number, future.result()
        for number, future in waiting:
            yield number, future.result()


def prepare(run: Run, encoder: Encoder, target: Path) -> Rows:
    """Tokenise train.jsonl into `target`, unless an earlier start did.

    Raises:
        UserError: a row cannot be read, or none is left.
    """
    told = target.with_suffix(".rows.json")
    rows = Rows.load(told)
    if rows is None:
        download = run.predecessors["download"]
        source, total = download.path("train.jsonl"), download.details["rows"]["train"]
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = Rows(str(target))
        partial = target.with_suffix(".partial")
        with partial.open("w") as file, run.progress("tokenising", total=total, unit="row") as bar:
            for first, portion in encode_all(source, encoder, total):
                add(rows, first, portion)
                file.writelines(text for text, *_ in portion)
                bar.update(first + len(portion) - 1)
        partial.rename(target)
        write_atomic(told, json.dumps(asdict(rows)))
    tell(run, rows)
    if not rows.kept:
        reasons = ", ".join(
            f"{rows.count(key)} are {text}" for key, text in REASONS.items() if rows.count(key)
        )
        raise UserError(
            f"no row is left to train on: of {sum(map(len, rows.dropped.values()))} rows {reasons}. Give "
            f"longer rows, or raise train.maxSequenceLength ({encoder.max_seq_len}) and "
            "train.maxTokensPerGpu."
        )
    return rows


def add(rows: Rows, first: int, portion: Iterable[Encoded]) -> None:
    """Count a portion."""
    for number, (text, reason, tokens, learned) in enumerate(portion, first):
        if text:
            rows.kept += 1
            rows.tokens += tokens
            rows.learned += learned
        else:
            rows.dropped.setdefault(reason, []).append(number)


def tell(run: Run, rows: Rows) -> None:
    """Say what is trained on, and name what is not."""
    run.event("rows tokenised", rows=rows.kept, tokens=rows.tokens, learned=rows.learned)
    for reason, numbers in rows.dropped.items():
        shown = ", ".join(map(str, numbers[:NAMED]))
        more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
        run.event("rows left out", rows=len(numbers), because=REASONS[reason], lines=f"{shown}{more}")


def facts(rows: Rows) -> dict[str, Any]:
    """The rows' part of the record's metrics."""
    return {
        "rows": rows.kept,
        "rows_dropped_short": rows.count("short"),
        "rows_dropped_long": rows.count("long"),
        "rows_dropped_silent": rows.count("silent"),
    }
