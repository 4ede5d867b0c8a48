"""What a run left that can be compared: records, results, training log and the scores of single items."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osft_pipeline.local import figures
from osft_pipeline.local.failures import Failure
from osft_pipeline.local.records import Json, read
from osft_pipeline.local.summary import records_of
from osft_pipeline.sources import RESULTS, Source
from osft_workspace import UserError, printable, sha256_file
from osft_workspace.contents import RESULTS_SCHEMA

METRICS = "train/metrics.jsonl"
ROWS = "holdout"
"""What evaluation calls the file of held-out rows among those of tasks."""


Scores = tuple[float | None, float | None]
"""Of an item: the base model's and the tuned model's; None where a metric has no value for single items."""


@dataclass(frozen=True, slots=True)
class Row:
    """A held-out row under the tuned model."""

    tokens: int
    """Of the answer."""
    loss: float
    """Nats per token."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run. `items` and `rows` go by what was asked, so that equal keys mean the same item."""

    letter: str
    """Stands for the run in pictures and tests: A, B, ..."""
    run: str
    where: str
    """Its folder, or its place in a claim."""
    records: dict[str, Json]
    results: Json
    """eval/results.json; empty if the run was not evaluated."""
    failure: Failure | None = None
    curve: list[Json] = field(default_factory=list)
    """train/metrics.jsonl."""
    items: dict[str, dict[str, Scores]] = field(default_factory=dict)
    """Task -> item -> scores. Empty where eval.logSamples is false."""
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Return done, refused, failed or incomplete."""
        return figures.state(self.records, self.failure)

    @property
    def summary(self) -> Json:
        """Return the wording of the evaluation; empty for none, or one of another version."""
        found: Json = self.results.get("summary") or {}
        return found

    def details(self, stage: str) -> Json:
        """Return the details of a stage's record."""
        found: Json = (self.records.get(stage) or {}).get("details") or {}
        return found

    def sha256(self, stage: str, name: str) -> str:
        """Return the digest of an output, by the stage's record; empty where there is none."""
        outputs = (self.records.get(stage) or {}).get("outputs") or []
        return next((str(one.get("sha256", "")) for one in outputs if one.get("path") == name), "")


def gather(source: Source, letter: str) -> Evidence:
    """Read a run. Raises UserError where it has neither a record nor a failure, or a damaged file."""
    run_dir, shown = source.run_dir, source.shown(source.run_dir)
    with reading(run_dir.name, shown):
        records, failure = records_of(run_dir), source.failure()
        if not records and failure is None:
            raise UserError(
                f"run {run_dir.name} has no record in {shown}, expected <stage>/record.json of a finished "
                "stage. Compare it when a stage has finished."
            )
        digests = {
            f"{stage}/{name}": digest
            for stage, record in records.items()
            for name, digest in output_digests(record).items()
        }

        def brought(name: str) -> Path:
            return verified(source.bring(name), name, digests[name])

        results = results_of(brought(RESULTS)) if RESULTS in digests else {}
        curve = lines(brought(METRICS)) if METRICS in digests else []
        samples = {
            name: list(lines(brought(f"eval/samples/{name}.jsonl")))
            for name in (*(results.get("tasks") or {}), ROWS)
            if f"eval/samples/{name}.jsonl" in digests
        }
        rows = dict(row(line) for line in samples.pop(ROWS, []) if line["tuned"]["loss"] is not None)
        items = {name: dict(map(item, found)) for name, found in samples.items()}
        name = printable(run_dir.name)
        return Evidence(letter, name, shown, records, results, failure, list(curve), items, rows)


@contextmanager
def reading(run: str, where: str) -> Iterator[None]:
    """Turn what a damaged file of a run leads to into a UserError that names the run."""
    try:
        yield
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(
            f"a file of run {run} cannot be read ({type(error).__name__}: {error}), expected it as its stage "
            f"wrote it. Restore {where}, or leave the run out."
        ) from error


def verified(path: Path, name: str, digest: str) -> Path:
    """Return the file. Raises ValueError where it is not the one that its stage's record names."""
    if not path.is_file():
        raise ValueError(f"{name} is missing")
    if sha256_file(path) != digest:
        raise ValueError(f"{name} was changed after its stage: its digest is not that of the record")
    return path


def results_of(path: Path) -> Json:
    """Return eval/results.json; of one of another version only the version. Raises ValueError for none."""
    found = read(path)
    if not found:
        raise ValueError(f"{RESULTS} is missing or empty")
    return found if found.get("schema") == RESULTS_SCHEMA else {"schema": found.get("schema")}


def letter(number: int) -> str:
    """Return A, B, ..., Z, AA, AB, ... for 0, 1, ..."""
    first, last = divmod(number, 26)
    return (letter(first - 1) if first else "") + chr(ord("A") + last)


def output_digests(record: Json) -> dict[str, str]:
    """Return the sha256 of each output of a stage, by its path."""
    return {str(one["path"]): str(one.get("sha256", "")) for one in record.get("outputs") or []}


def lines(path: Path) -> Iterator[Json]:
    """Yield the objects of a file of JSON lines. Raises ValueError."""
    with path.open() as file:
        for line in file:
            yield json.loads(line)


def item(sample: Json) -> tuple[str, Scores]:
    """Return an item of a task by what was asked, and its scores."""
    asked = [sample.get(key) for key in ("id", "question", "choices", "target")]
    base, tuned = (sample[which]["score"] for which in ("base", "tuned"))
    return key_of(asked), (base, tuned)


def row(sample: Json) -> tuple[str, Row]:
    """Return a held-out row by its content, and its loss under the tuned model."""
    tokens = int(sample["tokens"])
    asked = [sample.get(key) for key in ("id", "messages", "target", "tokens")]
    return key_of(asked), Row(tokens, float(sample["tuned"]["loss"]))


def key_of(asked: Any) -> str:
    """Return a digest of what was asked."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
