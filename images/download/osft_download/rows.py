"""Reading sources row by row: good rows to a spool, bad ones to `rejected.jsonl`, and when to give up."""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

import orjson

from osft_download.formats import FORMATS, Columns, Undecided, format_of
from osft_download.meter import Meter
from osft_download.readers import Row, reader_for
from osft_download.rules import LONGEST_SHOWN, BadRow
from osft_download.sources import Fetched
from osft_workspace import Run, UserError

EXCERPT = 200  # characters of a bad row that rejected.jsonl shows
NAMED = 3  # bad rows that the sentence names
TICK = 1000  # rows between two looks at the progress


class Spool:
    """Checked rows of one set on disk, and where each begins: 8 bytes of memory a row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offsets = array("Q")
        self.end = 0
        self.file: BinaryIO = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.file.close()

    def add(self, line: bytes) -> None:
        """Append one row."""
        self.offsets.append(self.end)
        self.end += self.file.write(line) + self.file.write(b"\n")


@dataclass(slots=True)
class Policy:
    """What happens to bad rows."""

    drop: bool
    most: int
    """Bad rows before giving up; 0 means no limit."""


@dataclass(slots=True)
class Intake:
    """The one check of all rows of a run, of the training and the evaluation set."""

    run: Run
    policy: Policy
    wanted: str
    columns: Columns
    rejected: BinaryIO
    read: int = 0
    bad: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    result: str | None = None
    """What all rows become, fixed by the first good one."""
    first: list[str] = field(default_factory=list)

    def take(self, source: Fetched, spool: Spool) -> int:
        """Read a source into a spool; returns how many rows it held, good and bad.

        Raises:
            UserError: a file cannot be read, holds no row, or there are more bad rows than allowed.
        """
        before = self.read
        meter = Meter(self.run, "checking rows", sum(file.path.stat().st_size for file in source.files))
        base = 0
        for file in source.files:
            inside = base
            for row in reader_for(file)(file):
                self.judge(row, file.name, spool)
                inside += len(row[1] or b"")
                if self.read % TICK == 0:
                    meter.at(inside)
            base += file.path.stat().st_size
            meter.at(base)
        if self.read == before:
            raise UserError(
                f"{source.uri} holds no rows: {len(source.files)} file(s) were read and all are empty."
            )
        return self.read - before

    def judge(self, row: Row, name: str, spool: Spool) -> None:
        """Spool a good row, list a bad one."""
        place, raw, value = row
        self.read += 1
        try:
            if isinstance(value, BadRow):
                raise value
            form = format_of(value, self.wanted, self.columns)
            converted = FORMATS[form].convert(value, self.columns)
            self.agree(FORMATS[form].result)
            line = raw if raw is not None and converted is value else as_line(converted)
        except BadRow as error:
            self.reject(error, name, place, raw if raw is not None else value)
            return
        except Undecided as error:
            raise UserError(
                f"{name} line {place}: {error}. All rows must train alike: set data.format (--format) to "
                "what is meant. Other rows are bad rows then, and data.onInvalid=drop leaves them out."
            ) from error
        self.formats[form] += 1
        spool.add(line)

    def agree(self, result: str) -> None:
        """Hold every row to what the first one becomes: one training run reads one kind.

        Raises:
            Undecided: it becomes something else, and the first one may be the stray.
        """
        if self.result is None:
            self.result = result
        if result != self.result:
            raise Undecided(f"the row would train as {result}, the rows before it as {self.result}")

    def reject(self, error: BadRow, name: str, place: int, row: object) -> None:
        """List a bad row, and give up when there are too many."""
        self.bad += 1
        self.rules[error.rule] += 1
        text = row.decode("utf-8", "replace") if isinstance(row, bytes) else excerpt(row)
        entry: Mapping[str, object] = {
            "file": name,
            "line": place,
            "rule": error.rule,
            "reason": error.reason,
            "excerpt": text[:EXCERPT],
        }
        self.rejected.write(orjson.dumps(entry) + b"\n")
        if len(self.first) < NAMED:
            self.first.append(f"{name} line {place}: {error.reason}")
        if self.policy.most and self.bad > self.policy.most:
            self.give_up(stopped=True)

    def give_up(self, *, stopped: bool) -> None:
        """End with the sentence that names the first bad rows and where all of them are.

        Raises:
            UserError: always.
        """
        self.rejected.flush()
        more = f"; and {self.bad - len(self.first)} more" if self.bad > len(self.first) else ""
        of, end = "", ""
        if stopped:
            of, end = "the first ", f", and reading stopped there (data.maxInvalid is {self.policy.most})"
        raise UserError(
            f"{self.bad} of {of}{self.read} rows cannot be used{end}. {'; '.join(self.first)}{more}. "
            f"All of them are listed in {self.rejected.name}. {self.advice(stopped)}."
        )

    def advice(self, stopped: bool) -> str:
        """The way out, as a sentence; leaving out is none where every row would go."""
        ways = ["Correct them"]
        if set(self.rules) == {"unknown-format"}:
            ways = ["Name their columns in data.columns (--columns)", "correct them"]
        if self.bad < self.read and not self.policy.drop:
            ways.append("set data.onInvalid=drop to leave them out" + " and raise data.maxInvalid" * stopped)
        elif self.bad < self.read and stopped:
            ways.append("raise data.maxInvalid")
        return ", or ".join(ways)

    def close(self, spools: list[Spool]) -> None:
        """The verdict on the whole: `spools` are the sets that must not be empty.

        Raises:
            UserError: rows are bad and may not be dropped, or a set has none left.
        """
        if self.bad and (not self.policy.drop or not all(spool.offsets for spool in spools)):
            self.give_up(stopped=False)
        self.run.event("rows checked", rows=self.read, refused=self.bad, **self.formats)


def as_line(row: object) -> bytes:
    """A converted row as JSON, UTF-8, keys in their order."""
    try:
        return orjson.dumps(row)
    except TypeError as error:
        raise BadRow("not-json", f"{culprit(row)} cannot be written as JSON: {error}") from error


def culprit(row: object) -> str:
    """The column that JSON has no place for, for a sentence."""
    for key, value in row.items() if isinstance(row, dict) else ():
        try:
            orjson.dumps(value)
        except TypeError:
            return f"column {key[:LONGEST_SHOWN]!r}"
    return "the row"


def excerpt(row: object) -> str:
    """A row that never was text, as text."""
    try:
        return orjson.dumps(row).decode()
    except TypeError:
        pass  # dates, bytes, long integers; or a value that is nested too deep even for repr
    try:
        return repr(row)
    except RecursionError:
        return "<nested too deep to show>"
