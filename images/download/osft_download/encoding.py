"""One encoding of all rows of a run: every row encoded once, the sets split, their tokens written."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np

from osft_download import split
from osft_download.prepared import (
    EVAL,
    FACTS,
    LISTED,
    NAMED,
    OVERLAP,
    REJECTED,
    ROWS,
    STATES,
    TRAIN,
    Sets,
    chosen,
)
from osft_rows.encoder import SILENT, Facts, Result
from osft_rows.pool import Encoders
from osft_rows.settings import Settings
from osft_workspace import Run, excerpt
from osft_workspace.contents import Encoded, EncodedSet, EncodingSettings, Tokenizer
from osft_workspace.redact import redact_value
from osft_workspace.text import json_text

PORTION, PORTION_BYTES = 128, 128 << 10
"""Rows that a process takes at a time, or fewer of so many bytes."""
PREVIEWS, PREVIEW_TOKENS = 3, 400


@dataclass(slots=True)
class Encoding:
    """One encoding of all rows into a folder; about 30 bytes of memory a row."""

    run: Run
    sets: Sets
    settings: Settings
    folder: Path
    states: bytearray = field(default_factory=bytearray)
    digests: "array[int]" = field(default_factory=lambda: array("Q"))
    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    """Where the tokens of each row begin in the work file."""
    tokens: "array[int]" = field(default_factory=lambda: array("I"))
    learned: "array[int]" = field(default_factory=lambda: array("I"))
    totals: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, list[int]] = field(default_factory=dict)
    """Kind of text that the template does not write -> rows that hold some, and the first of them."""
    overlap: list[int] = field(default_factory=list)
    """The first held-out rows that are also among the rows to train on."""

    def work(self) -> None:
        """Encode, split, write."""
        total = len(self.sets.order) + (len(self.sets.held_out.offsets) if self.sets.held_out else 0)
        with Encoders(self.settings, total) as encoders:
            if encoders.limited:
                why = "more do not fit into the memory limit (data.pod.resources.limits.memory)"
                self.run.choice("encoding_processes", encoders.processes, why)
            facts = encoders.facts()
            self.encode(encoders, total)
            self.split()
            self.write_train()
            previews = self.write_eval(encoders)
        (self.folder / "work").unlink()
        (self.folder / ROWS).write_bytes(self.states)
        told = self.told(facts, previews)
        (self.folder / FACTS).write_text(json_text(told, indent=1) + "\n")

    def encode(self, encoders: Encoders, total: int) -> None:
        """Encode every row into one work file; list those that cannot be used."""
        rows = (row for _, row in self.sets.rows())
        at = 0
        with (
            (self.folder / "work").open("wb") as work,
            (self.folder / LISTED).open("w") as listed,
            self.run.progress("encoding", total=total, unit="rows") as bar,
        ):
            for results in encoders.encode(portions(rows)):
                for result in results:
                    self.offsets.append(at)
                    at += work.write(result.line + b"\n")
                    self.note(result, listed)
                bar.update(len(self.states))

    def note(self, result: Result, listed: TextIO) -> None:
        """Remember what a row is."""
        state = (result.rule or TRAIN) if result.line else REJECTED
        if state == REJECTED:
            entry = {"row": len(self.states), "rule": result.rule, "reason": excerpt(result.reason)}
            listed.write(json_text(entry) + "\n")
        self.states.append(STATES.index(state))
        self.digests.append(result.digest)
        self.tokens.append(result.tokens)
        self.learned.append(result.learned)
        self.totals["unclosed"] += result.unclosed
        self.totals["merged"] += result.merged
        for kind in result.left_out:
            self.left_out.setdefault(kind, [0, len(self.states) - 1])[0] += 1

    def split(self) -> None:
        """Decide which rows train and which are held out."""
        states = np.frombuffer(self.states, dtype=np.uint8)  # a view: what is set here is set there
        digests = np.frombuffer(self.digests, dtype=np.uint64)
        usable = np.flatnonzero(states != STATES.index(REJECTED))
        border = np.searchsorted(usable, len(self.sets.order))
        to_split, held_out = usable[:border], usable[border:]
        if self.sets.held_out is None:
            together = self.sets.overlap == "drop"
            trains = states[to_split] == STATES.index(TRAIN)
            # Where no row can train none is held out, so that the sentence which says so counts all.
            fraction = self.sets.fraction if trains.any() else 1.0
            held_out = to_split[split.held_out(digests[to_split], fraction, trains if together else None)]
            to_split = np.setdiff1d(to_split, held_out, assume_unique=True)
        trained = to_split[states[to_split] == STATES.index(TRAIN)]
        twice = np.isin(digests[held_out], digests[trained])
        self.totals["overlap"] = int(twice.sum())
        self.overlap = [int(number) for number in held_out[twice][:NAMED]]
        self.totals["repeated"] = len(usable) - len(np.unique(digests[usable]))
        states[held_out[states[held_out] != STATES.index(SILENT)]] = STATES.index(EVAL)
        if self.sets.overlap == "drop":
            states[held_out[twice]] = STATES.index(OVERLAP)

    def write_train(self) -> None:
        """Write the tokens of the rows to train on."""
        with (self.folder / "work").open("rb") as work, (self.folder / "train.jsonl").open("wb") as file:
            for offset, state in zip(self.offsets, self.states, strict=True):
                if state == STATES.index(TRAIN):
                    work.seek(offset)
                    file.write(work.readline())

    def write_eval(self, encoders: Encoders) -> list[Any]:
        """Write the held-out rows with what evaluation asks; returns the first rows to train on as text."""
        rows = chosen(self.sets.rows(), self.states, EVAL)
        with (self.folder / "eval.jsonl").open("wb") as file:
            for results in encoders.encode(portions(row for _, row in rows), prompts=True):
                file.writelines(result.line + b"\n" for result in results)
        with (self.folder / "train.jsonl").open("rb") as file:
            first = list(islice(file, PREVIEWS))
        return encoders.previews(first, PREVIEW_TOKENS) if first else []

    def told(self, facts: Facts, previews: list[Any]) -> Encoded:
        """Return what the record says of the tokens."""
        settings = {name: value for name, value in asdict(self.settings).items() if name != "model"}
        return {
            "tokenizer": cast(Tokenizer, asdict(facts)),
            "settings": cast(EncodingSettings, settings),
            "sets": {name: self.measured(name) for name in (TRAIN, EVAL)},
            "rows_repeated": self.totals["repeated"],
            "rows_overlap": self.totals["overlap"],
            "overlap_first": self.overlap,
            "answers_unclosed": self.totals["unclosed"],
            "rows_system_merged": self.totals["merged"],
            "left_out": self.left_out,
            "preview": redact_value(previews),
        }

    def measured(self, state: str) -> EncodedSet:
        """Rows, tokens and learned tokens of a set, and the tokens of its longest row."""
        here = np.frombuffer(self.states, dtype=np.uint8) == STATES.index(state)
        tokens = np.frombuffer(self.tokens, dtype=np.uint32)[here]
        learned = np.frombuffer(self.learned, dtype=np.uint32)[here]
        return {
            "rows": int(here.sum()),
            "tokens": int(tokens.sum()),
            "learned": int(learned.sum()),
            "longest": int(tokens.max(initial=0)),
        }


def portions(rows: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Rows in portions for the processes."""
    portion: list[bytes] = []
    size = 0
    for row in rows:
        if portion and (len(portion) == PORTION or size + len(row) > PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(row)
        size += len(row)
    if portion:
        yield portion
