"""Other rows for an earlier run: what is there stays until the new rows are whole, and may be replaced."""

from pathlib import Path

from osft_workspace import Outcome, run_stage
from tests.stages.download.support import Stage, chat, lines


def test_other_rows_that_fail_leave_the_earlier_rows_and_their_record(stage: Stage) -> None:
    first = stage.run("--uri", stage.file("a.jsonl", lines([chat("a?"), chat("b?"), chat("c?")])))
    rows, record = first.rows("train.jsonl"), first.record
    bad = stage.run("--uri", stage.file("b.jsonl", b'{"messages": []}\n'))
    assert bad.code == 2
    assert bad.rows("rejected.jsonl"), "the list of rejected rows is there to read"
    assert (first.rows("train.jsonl"), first.record) == (rows, record)
    good = stage.run("--uri", stage.file("c.jsonl", lines([chat("d?"), chat("e?")])))
    assert good.code == 0
    assert good.rows("train.jsonl") != rows
    assert not (good.dir / "unfinished").exists()


def test_rows_of_a_registered_model_are_replaced_only_with_run_overwrite(stage: Stage) -> None:
    first = stage.run("--uri", stage.file("a.jsonl", lines([chat("a?"), chat("b?"), chat("c?")])))
    before = first.rows("train.jsonl")
    run_id = first.dir.parent.name
    register(stage.workspace, run_id)
    other = ("--uri", stage.file("b.jsonl", lines([chat("d?"), chat("e?")])))
    assert stage.run(*other).error == (
        "Error: the inputs of download changed, and version v7 in the Model Registry points to the model of "
        f"run {run_id} (pvc://ws/runs/{run_id}/train/model), which would be replaced. Use another run id "
        "(leave runId empty), or set runOverwrite to true (--run-overwrite)."
    )
    assert first.rows("train.jsonl") == before
    replaced = stage.run(*other, "--run-overwrite")
    assert replaced.code == 0
    assert replaced.rows("train.jsonl") != before


def register(workspace: Path, run_id: str) -> None:
    """Leave the record of a registration, as the register stage does."""
    details = {"uri": f"pvc://ws/runs/{run_id}/train/model", "version": "v7"}
    run_stage(
        "register",
        workspace,
        run_id,
        inputs={},
        needs=(),
        body=lambda run: Outcome(outputs=[], details=details),
    )
