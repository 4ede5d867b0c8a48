"""What a stage's body hands back, and when the record is there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from osft_workspace import Outcome, Record, Run, run_stage


def start(workspace: Path, after: Callable[[], None]) -> Record:
    def body(run: Run) -> Outcome:
        return Outcome(outputs=[], after=after)

    return run_stage("train", workspace, "r", inputs={}, needs=(), body=body)


def test_clean_up_runs_once_the_record_is_there(tmp_path: Path) -> None:
    seen = []
    record = tmp_path / "runs" / "r" / "train" / "record.json"
    for _ in range(2):
        start(tmp_path, lambda: seen.append(record.is_file()))
    assert seen == [True]


def test_a_failed_clean_up_leaves_a_finished_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def after() -> None:
        raise OSError("busy")

    assert start(tmp_path, after).status == "done"
    assert 'could not clean up seen="OSError: busy"' in capsys.readouterr().out
