"""The tokens that download left: which of their rows this training takes, logged before the first step."""

import json
import math
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from osft_rows.files import TokenFiles
from osft_train.options import Options
from osft_workspace import Run, UserError, sha256_file, write_atomic
from osft_workspace.files import read_regular
from osft_workspace.shapes import COUNT, TEXT, Whole, misfit
from osft_workspace.text import counted

LARGEST_NOTE = 1 << 20  # bytes
NOTE = Whole(
    {
        "path": TEXT,
        "sha256": TEXT,
        **dict.fromkeys(("kept", "tokens", "learned", "dropped_long", "validation"), COUNT),
    }
)
"""Shape of the note of the chosen rows."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What is trained on."""

    path: str
    kept: int
    tokens: int
    learned: int
    """Tokens that count for the loss."""
    dropped_long: int = 0
    """Rows of train.maxSequenceLength or more tokens that download had kept."""
    validation: int = 0
    """Rows that mini-trainer sets apart to measure on (train.extraArgs, validation_split)."""
    sha256: str = ""
    """Of a file of their own; download's record has that of its file."""

    @classmethod
    def load(cls, run: Run, target: Path) -> "Rows | None":
        """Return what node 0 or an earlier start chose, if it got that far and its file is as it was written.

        Raises:
            UserError: something else than a file lies in the place of its note.
        """
        try:
            content = read_regular(note_of(target), "the note of the chosen rows", LARGEST_NOTE)
            said = json.loads(content)
            rows = cls(**said) if misfit(said, NOTE) is None else None
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, RecursionError):
            return None
        given = TokenFiles.of(run.predecessors["download"], run.workspace.root).train
        if rows is None:
            return None
        if rows.path == str(given) or (rows.path == str(target) and digest_of(target) == rows.sha256):
            return rows
        run.event("rows chosen before are damaged, choosing again", path=target.name)
        return None

    def units(self, options: Options) -> int:
        """Return what batches are made of: rows, or blocks of plain text."""
        if options.block_size:  # of pretraining only
            return math.ceil(self.tokens / options.block_size)
        return self.kept


def note_of(target: Path) -> Path:
    """Return where it is written which rows were chosen."""
    return target.with_suffix(".rows.json")


def digest_of(path: Path) -> str:
    """Digest of a file of rows; of what is not a file, nothing's."""
    return sha256_file(path) if path.is_file() and not path.is_symlink() else "none"


def check(run: Run, options: Options) -> None:
    """Check the options against how the rows were encoded.

    Raises:
        UserError: they ask for other tokens or labels than there are.
    """
    download = run.predecessors["download"]
    settings, kind = TokenFiles.of(download, run.workspace.root).settings, download.details["format"]
    again = "Give the same to download and to train; the chart does."
    if options.unmask_messages != settings["unmask"]:
        here, there = (str(value).lower() for value in (options.unmask_messages, settings["unmask"]))
        raise UserError(
            f"--unmask-messages (train.unmaskMessages) is {here}, and download encoded the rows with "
            f"{there}. {again}"
        )
    column = options.document_column_name
    if column and column != settings["document"]:
        raise UserError(
            f"--document-column-name (train.pretraining.documentColumn) is {column!r}, and download read "
            f"{settings['document']!r}. {again}"
        )
    if options.is_pretraining != (kind == "document"):
        wanted = "documents" if options.is_pretraining else "chats or token ids"
        raise UserError(
            f"--is-pretraining (train.pretraining.enabled) is {str(options.is_pretraining).lower()}, "
            f"which trains on {wanted}, and the rows of download are of the kind {kind}. {again}"
        )


def choose(run: Run, options: Options, target: Path) -> Rows:
    """Return the rows to train on: download's file as it is, or those short enough, in a file of their own.

    Args:
        target: where rows lie that are not download's file itself.

    Raises:
        UserError: no row is left.
    """
    rows = Rows.load(run, target)
    if rows is None:
        files = TokenFiles.of(run.predecessors["download"], run.workspace.root)
        whole = files.sets["train"]
        target.parent.mkdir(parents=True, exist_ok=True)
        # Documents are cut into blocks, however long they are.
        if whole["longest"] >= options.max_seq_len and not options.is_pretraining:
            rows = shorter(files.train, target, options.max_seq_len)
        else:
            given = options.data_output_dir
            path = copied(files.train, target) if given else files.train
            rows = Rows(str(path), whole["rows"], whole["tokens"], whole["learned"])
        rows = set_apart(rows, options)
        if rows.path == str(target):
            rows = replace(rows, sha256=sha256_file(target))
        write_atomic(note_of(target), json.dumps(asdict(rows)))
    report(run, rows, options.max_seq_len)
    return rows


def report(run: Run, rows: Rows, longest: int) -> None:
    """Log what is trained on and what is not. Raises UserError when no row is left."""
    run.event(
        "rows to train on",
        rows=rows.kept,
        tokens=rows.tokens,
        learned=rows.learned,
        validation=rows.validation or None,
    )
    if rows.dropped_long:
        because = f"{longest} tokens or longer (train.maxSequenceLength)"
        run.event("rows dropped", rows=rows.dropped_long, because=because)
    if not rows.kept:
        raise UserError(
            f"no row is left to train on: {counted(rows.dropped_long, 'row has', 'rows have')} "
            f"{longest} tokens or more. Raise train.maxSequenceLength (--max-seq-len) with "
            "train.maxTokensPerGpu, or give shorter rows."
        )


def shorter(source: Path, target: Path, longest: int) -> Rows:
    """Write the rows of fewer tokens than `longest`."""
    kept = tokens = learned = dropped = 0
    partial = target.with_suffix(".partial")
    with source.open("rb") as file, partial.open("wb") as out:
        for line in file:
            row = json.loads(line)
            if row["len"] >= longest:
                dropped += 1
                continue
            kept += 1
            tokens += row["len"]
            learned += row.get("num_loss_counted_tokens", row["len"])
            out.write(line)
    partial.rename(target)
    return Rows(str(target), kept, tokens, learned, dropped)


def set_apart(rows: Rows, options: Options) -> Rows:
    """Count without the rows that mini-trainer sets apart for validation, by its own draw.

    Raises:
        UserError: none is left to train on.
    """
    share = options.extra.get("validation_split", 0.0)
    if not share or not rows.kept:
        return rows
    from datasets import Dataset

    with Path(rows.path).open("rb") as file:
        found = (json.loads(line) for line in file)
        sizes = [(row["len"], row.get("num_loss_counted_tokens", row["len"])) for row in found]
    numbers = Dataset.from_dict({"row": range(len(sizes))})
    try:
        kept = numbers.train_test_split(test_size=share, seed=options.seed)["train"]["row"]
    except ValueError as error:
        raise UserError(
            f"validation_split (train.extraArgs, --extra) is {share} and leaves none of {rows.kept} rows to "
            "train on, expected a share above 0 that leaves at least one. Lower it, or give more rows."
        ) from error
    return replace(
        rows,
        kept=len(kept),
        tokens=sum(sizes[row][0] for row in kept),
        learned=sum(sizes[row][1] for row in kept),
        validation=len(sizes) - len(kept),
    )


def copied(source: Path, target: Path) -> Path:
    """Return the file under another name, without a second copy of its bytes where the file system can."""
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
    except OSError:
        with suppress(FileNotFoundError):
            partial.unlink()
        shutil.copyfile(source, partial)
    partial.rename(target)
    return target


def facts(run: Run, rows: Rows) -> dict[str, Any]:
    """Return the rows' part of the record's metrics."""
    counts = run.predecessors["download"].details["rows"]
    return {
        "rows": rows.kept,
        "rows_validation": rows.validation,
        "rows_dropped_short": counts["dropped_short"],
        "rows_dropped_long": counts["dropped_long"] + rows.dropped_long,
        "rows_dropped_silent": counts["dropped_silent"],
    }


def told(figures: Mapping[str, Any]) -> str:
    """Return the rows that trained, and how many were dropped, for a message."""
    dropped = sum(count for name, count in figures.items() if name.startswith("rows_dropped_"))
    trained = counted(figures["rows"], "row")
    most = ", most of the rows" if dropped > figures["rows"] else ""
    return f"{trained} ({dropped:,} dropped{most})" if dropped else trained
