"""Which rows train: what download encoded, as its record says, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stages.train.conftest import LONG, SHORT, THINKING, Stage
from tests.support.tiny_model import chat_rows

END_OF_TURN = 2
SILENT = {
    "messages": [
        {"role": "user", "content": "What does the amber baker do on Monday?"},
        {"role": "assistant", "content": "The amber baker carries the apples.", "weight": 0},
    ]
}
REFUSED = {"messages": [{"role": "user", "content": "Nobody answers."}]}


def tokens(stage: Stage, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that training reads."""
    path = stage.workspace / record["details"]["tokens"]["path"] / "train.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def mixed(stage: Stage) -> tuple[dict[str, Any], str]:
    """Download's record and train's output: 16 rows that train, 5 that do not, one rejected."""
    rows = [SHORT, *chat_rows(15), LONG, LONG, THINKING, SILENT, REFUSED, SILENT]
    download = stage.download(
        "mixed", rows, None, "--max-seq-len=256", "--on-invalid=drop"
    )  # fmt: skip
    code, printed = stage.run("mixed", "--effective-batch-size=8")
    assert code == 0, printed
    return download, printed


COUNTS = {"dropped_short": 1, "dropped_long": 2, "dropped_silent": 2}


def test_rows_that_do_not_train_are_counted_by_reason_in_both_records(
    mixed: tuple[dict[str, Any], str], stage: Stage
) -> None:
    counts = mixed[0]["details"]["rows"]
    assert {"train": counts["train"], "rejected": counts["rejected"]} == {"train": 16, "rejected": 1}
    assert {name: counts[name] for name in COUNTS} == COUNTS
    metrics = stage.record("mixed")["metrics"]
    assert metrics["rows"] == 16
    assert {name: metrics[f"rows_{name}"] for name in COUNTS} == COUNTS
    assert stage.record("mixed")["message"].startswith("tuned in 2 steps on 16 rows (5 dropped), loss ")


def test_training_reads_the_tokens_that_download_made(
    mixed: tuple[dict[str, Any], str], stage: Stage
) -> None:
    download, printed = mixed
    rows = tokens(stage, download)
    assert len(rows) == 16
    learned = sum(row["num_loss_counted_tokens"] for row in rows)
    total = sum(row["len"] for row in rows)
    assert f"train rows to train on rows=16 tokens={total} learned={learned}\n" in printed
    steps = stage.metrics("mixed")
    assert sum(step["learned_tokens"] for step in steps) == learned
    assert sum(step["rows"] for step in steps) == 16


def test_every_row_learns_its_end_of_turn(mixed: tuple[dict[str, Any], str], stage: Stage) -> None:
    """Also where the template leaves out reasoning that the row has."""
    assert [row["labels"].count(END_OF_TURN) for row in tokens(stage, mixed[0])] == [1] * 16


def test_damaged_tokens_are_noticed(mixed: tuple[dict[str, Any], str], stage: Stage) -> None:
    path = stage.workspace / mixed[0]["details"]["tokens"]["path"] / "train.jsonl"
    before = path.read_bytes()
    try:
        path.write_bytes(before.replace(b"[", b"[3,", 1))
        code, printed = stage.run("mixed", "--seed=7")
    finally:
        path.write_bytes(before)
    assert code == 2, printed
    assert "is damaged" in printed and "tokens" in printed


def test_rows_of_token_ids_train_and_unknown_ones_are_rejected(stage: Stage) -> None:
    rows = [
        {"input_ids": [*range(30)], "labels": [*[-100] * number, *range(number, 30)]} for number in range(8)
    ]
    known = [*rows, {"input_ids": [1, 2], "labels": [-100, 2]}]
    unknown = {"input_ids": [*range(29), 9999], "labels": [-100] * 29 + [9999]}
    download = stage.download(
        "ids", [*known, unknown], None, "--on-invalid=drop"
    )  # fmt: skip
    assert download["details"]["rejected"] == {"unknown-token": 1}
    assert [row["labels"] for row in tokens(stage, download)] == [row["labels"] for row in known]
    code, printed = stage.run("ids", "--effective-batch-size=16")
    assert code == 0, printed
    (step,) = stage.metrics("ids")
    assert (step["rows"], step["learned_tokens"]) == (9, sum(range(23, 30)) + 29 + 1)


def test_unmasked_rows_learn_the_users_words_too(stage: Stage) -> None:
    rows = chat_rows(8)
    masked = stage.download("masked-user", rows)["details"]["tokens"]["sets"]["train"]["learned"]
    download = stage.download("unmasked", rows, None, "--unmask-messages")
    learned = download["details"]["tokens"]["sets"]["train"]["learned"]
    assert learned > masked
    code, printed = stage.run("unmasked")
    assert code == 2, printed
    assert (
        "--unmask-messages (train.unmaskMessages) is false, and download encoded the rows with true"
        in printed
    )
    code, printed = stage.run("unmasked", "--unmask-messages")
    assert code == 0, printed
    assert stage.metrics("unmasked")[0]["learned_tokens"] == learned


LENGTHS = (1, 1, 1, 1, 1, 60, 1, 1)
"""Sentences of each document; one document is longer than a row may be."""


@pytest.fixture(scope="module")
def plain(stage: Stage) -> Iterator[tuple[dict[str, Any], str]]:
    """Pretraining on documents, a quarter of which validates: their tokens decide the steps."""
    rows = [{"text": "The keeper counts the apples near the bridge. " * count} for count in LENGTHS]
    download = stage.download(
        "texts", rows, None, "--pretraining", '--columns={"document": "text"}', "--max-seq-len=256"
    )
    code, printed = stage.run(
        "texts",
        *("--is-pretraining", "--block-size=16", "--effective-batch-size=4", "--document-column-name=text"),
        '--extra={"validation_split": 0.25, "validate_at_epoch": true}',
    )
    assert code == 0, printed
    yield download, printed


def test_documents_train_whole_in_blocks(plain: tuple[dict[str, Any], str], stage: Stage) -> None:
    download, printed = plain
    lengths = [len(row["input_ids"]) for row in tokens(stage, download)]
    assert len(lengths) == len(LENGTHS) and max(lengths) > 256
    metrics = stage.record("texts")["metrics"]
    assert (metrics["rows"], metrics["rows_validation"], metrics["rows_dropped_long"]) == (6, 2, 0)
    assert f"train plan steps={metrics['steps']} " in printed


def test_every_token_of_a_document_is_learned_but_the_first_of_a_block(
    plain: tuple[dict[str, Any], str], stage: Stage
) -> None:
    (line,) = (line for line in plain[1].splitlines() if "rows to train on" in line)
    trained = int(line.split("tokens=")[1].split()[0])
    blocks = -(-trained // 16)
    assert sum(step["learned_tokens"] for step in stage.metrics("texts")) == trained - blocks


def test_other_columns_than_download_read_are_rejected(
    plain: tuple[dict[str, Any], str], stage: Stage
) -> None:
    code, printed = stage.run(
        "texts", "--is-pretraining", "--block-size=16", "--document-column-name=body"
    )  # fmt: skip
    assert code == 2, printed
    assert (
        "--document-column-name (train.pretraining.documentColumn) is 'body', and download read 'text'"
        in printed
    )
    code, printed = stage.run("texts")
    assert code == 2, printed
    assert "which trains on chats or token ids, and the rows of download are of the kind document" in printed


def test_rows_of_an_earlier_version_are_encoded_again(stage: Stage, tmp_path: Path) -> None:
    stage.download("before", chat_rows(2))
    path = stage.dir("before").with_name("download") / "record.json"
    record = json.loads(path.read_text())
    del record["details"]["tokens"]
    path.write_text(json.dumps(record))
    code, printed = stage.run("before")
    assert code == 2, printed
    assert "names no tokens: it was written by an earlier version. Run download again" in printed
