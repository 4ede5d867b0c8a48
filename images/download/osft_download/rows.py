"""Reading sources row by row: valid rows to a spool, rejected ones to `rejected.jsonl`, and when to stop."""

from collections import Counter
from dataclasses import dataclass, field
from typing import BinaryIO

import orjson

from osft_download.chat import CHOICES
from osft_download.formats import FORMATS, Columns, Undecided, format_of
from osft_download.meter import Meter
from osft_download.readers import Row, bounded, read_rows
from osft_download.rules import RejectedRow, shown
from osft_download.sources import Fetched
from osft_download.spool import Place, Spool
from osft_download.written import count_unread, line_of, shares
from osft_workspace import Run, UserError, excerpt, printable, redact_text

NAMED = 3  # rejected rows that the sentence names
LISTED = 10_000  # rejected rows in `rejected.jsonl` of a run that ends because of them
LONGEST_REASON = 400  # characters of a reason, which may quote the row
TICK, LARGE = 1000, 1 << 16  # rows between two looks at the progress; bytes of one that is looked at itself


class OtherKind(Exception):
    """A held-out row that does not become what the rows to train on did."""


@dataclass(slots=True)
class Policy:
    """What happens to rejected rows."""

    drop: bool
    most: int
    """Rejected rows that may be dropped; 0 means no limit."""


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
    """What all rows become, fixed by the first valid one."""
    first: list[str] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)
    """Rule -> the first row that broke it, with the reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """Choice of `chat.CHOICES` -> rows in which it was made."""
    held_out: bool = False
    """Whether the source that is read is of data.evalUri."""
    missing: dict[str, str] = field(init=False)
    """Our name of a column -> the name that the user gave it, while no row has it."""
    unread: Counter[str] = field(default_factory=Counter)
    """Column that is not read -> rows that hold something in it."""

    def __post_init__(self) -> None:
        self.missing = {name: column for name, column in self.columns.items() if column != name}

    def take(self, source: Fetched, spool: Spool, *, held_out: bool) -> int:
        """Read a source into a spool; returns how many rows it held, rejected ones too.

        Args:
            held_out: it is of data.evalUri, whose rows may have another format, and train as the others do.

        Raises:
            UserError: a file cannot be read, holds no row, or more rows are rejected than allowed.
        """
        self.held_out = held_out
        before = self.read
        meter = Meter(self.run, "checking rows", sum(file.path.stat().st_size for file in source.files))
        base = 0
        for file in source.files:
            inside = base
            with bounded(file):
                for row in read_rows(file, self.run.choice):
                    self.judge(row, file.name, spool)
                    inside += len(row[1] or b"")
                    if self.read % TICK == 0 or len(row[1] or b"") >= LARGE:
                        meter.at(inside)
            base += file.path.stat().st_size
            meter.at(base)
        if self.read == before:
            raise UserError(
                f"{source.uri} holds no rows: {len(source.files)} file(s) were read and all are empty."
            )
        return self.read - before

    def judge(self, row: Row, name: str, spool: Spool) -> None:
        """Spool a valid row, list a rejected one."""
        place, raw, value = row
        self.read += 1
        try:
            if isinstance(value, RejectedRow):
                raise value
            if self.missing and isinstance(value, dict):
                self.missing = {name: column for name, column in self.missing.items() if column not in value}
            form = format_of(value, self.wanted, self.columns)
            notes: set[str] = set()
            converted = FORMATS[form].convert(value, self.columns, notes)
            self.agree(FORMATS[form].result)
            line = raw if raw is not None and converted.row is value and b"\n" not in raw else None
            line = line if line is not None else line_of(converted)
        except RejectedRow as error:
            self.reject(error, name, place, raw if raw is not None else value)
            return
        except OtherKind as error:
            raise UserError(
                f"{printable(name)} line {place} of data.evalUri: the row would be evaluated as {error}, and "
                f"the rows of data.uri train as {self.result}. Expected held-out rows of the same kind. "
                "Convert those of data.evalUri, or leave it empty to hold out rows of data.uri "
                "(data.trainFraction)."
            ) from error
        except Undecided as error:
            raise UserError(
                f"{printable(name)} line {place}: {error}. All rows must be of one kind: set "
                "data.format (--format) to the right one. Rows of other formats are then rejected, and "
                "data.onInvalid=drop leaves them out."
            ) from error
        self.formats[form] += 1
        self.notes.update(notes)
        count_unread(self.unread, value, converted.read)
        spool.add(line, Place(name, place))

    def agree(self, result: str) -> None:
        """Check that every row becomes what the first one does: one training run reads one kind.

        Raises:
            OtherKind: it is held out, and those to train on became something else.
            Undecided: it becomes something else, and the first one may be the stray.
        """
        if self.result is None:
            self.result = result
        if result != self.result:
            if self.held_out:
                raise OtherKind(result)
            raise Undecided(f"the row would be read as {result}, the rows before it as {self.result}")

    def reject(self, error: RejectedRow, name: str, place: int, row: object) -> None:
        """List a rejected row; where such rows are dropped, give up when there are too many.

        Where one of them ends the run, all rows are read, so that everything to correct is known at once.
        """
        self.bad += 1
        self.rules[error.rule] += 1
        reason = excerpt(error.reason, LONGEST_REASON)
        if self.policy.drop or self.bad <= LISTED:
            entry = {
                "file": redact_text(name),
                "line": place,
                "rule": error.rule,
                "reason": reason,
                "excerpt": excerpt(row),
            }
            self.rejected.write(orjson.dumps(entry) + b"\n")
        told = f"{printable(name)} line {place}: {reason}"
        self.examples.setdefault(error.rule, told)
        if len(self.first) < NAMED:
            self.first.append(told)
        if self.policy.drop and self.too_many:
            self.give_up(stopped=True)

    @property
    def too_many(self) -> bool:
        """Whether there are more rejected rows than may be dropped."""
        return bool(self.policy.most) and self.bad > self.policy.most

    def give_up(self, *, stopped: bool) -> None:
        """End with the sentence that names the first rejected rows and where all of them are.

        Raises:
            UserError: always.
        """
        self.rejected.flush()
        more = ""
        if self.bad > len(self.first):
            rules = ", ".join(f"{rule} {count}" for rule, count in self.rules.most_common())
            more = f"; and {self.bad - len(self.first)} more. Rows by rule: {rules}"
        listed = "All" if self.policy.drop or self.bad <= LISTED else f"The first {LISTED:,}"
        of, end = "", ""
        if stopped:
            of, end = "the first ", f", and reading stopped there (data.maxInvalid is {self.policy.most})"
        raise UserError(
            f"{self.bad} of {of}{self.read} rows cannot be used{end}. {'; '.join(self.first)}{more}. "
            f"{listed} of them are listed in {self.rejected.name}. {self.advice(stopped)}."
        )

    def advice(self, stopped: bool) -> str:
        """Return how to fix it, as a sentence; leaving out does not help where every row would go."""
        ways = ["Correct them"]
        if set(self.rules) == {"unknown-format"}:
            ways = ["Name their columns in data.columns (--columns)", "correct them"]
            if self.wanted != "auto":
                ways.insert(0, "Set data.format (--format) to auto, which decides for each row")
                ways[1] = ways[1].replace("Name", "name")
        if set(self.rules) == {"rows-inside"}:
            ways = ["Write each of these lists as JSON lines or a JSON array in its own file"]
        if set(self.rules) == {"wrong-cells"}:
            ways = ["Write the header and every row with the same separator and as many cells"]
        if "template" in self.rules:
            ways.append("set data.systemRole=merge where the chat template takes no system message")
        if self.bad < self.read and not self.policy.drop:
            ways.append(
                "set data.onInvalid=drop to leave them out" + " and raise data.maxInvalid" * self.too_many
            )
        elif self.bad < self.read and stopped:
            ways.append("raise data.maxInvalid")
        return ", or ".join(ways)

    def close(self, *, empty: bool) -> None:
        """Judge the whole, and report what was chosen and what was not read.

        Args:
            empty: whether the rejected rows leave a set without any row.

        Raises:
            UserError: rows are rejected and may not be dropped, a set has none left, or no row has a
                column that the user named.
        """
        if self.bad and (not self.policy.drop or empty):
            self.give_up(stopped=False)
        if self.missing:
            name, column = next(iter(self.missing.items()))
            raise UserError(
                f"none of the {self.read} rows has the column {shown(column)!r}, expected it in some rows: "
                f"data.columns (--columns) names it for {name}. Correct the name, or leave it out there."
            )
        self.run.event("rows checked", rows=self.read, rejected=self.bad, **self.formats)
        for rule, count in self.rules.items():
            self.run.event("rows rejected", rows=count, rule=rule, first=self.examples[rule])
        for note, rows in self.notes.items():
            name, value, reason = CHOICES[note]
            self.run.choice(name, value, f"{reason}; rows: {rows}")
        if self.unread:
            self.run.event("columns not read", columns=shares(self.unread, sum(self.formats.values())))
