"""What another node than the first takes for the end."""

import threading
from pathlib import Path

import pytest

from osft_train import nodes
from osft_train.work import Work
from osft_workspace.record import Record
from tests.unit.train.support import some_run


def test_training_is_over_when_node_0_says_so_of_these_inputs(tmp_path: Path) -> None:
    run, work = some_run(tmp_path), Work(tmp_path / "checkpoints", "sha256:1")
    work.open(run, resume=True)
    assert not nodes.is_over(run, work)
    work.offer()
    assert not nodes.is_over(run, work)
    work.finish(4, {})
    assert nodes.is_over(run, work)
    assert not nodes.is_over(run, Work(work.dir, "sha256:2"))


def test_training_is_over_when_its_model_is_published(tmp_path: Path) -> None:
    run, work = some_run(tmp_path), Work(tmp_path / "checkpoints", "sha256:1")
    Record(
        stage="train", status="done", run_id="r", message="", inputs={}, inputs_digest="", needs={},
        outputs=[], shared={}, details={"work_digest": work.digest}, dir=run.home,
    ).publish()  # fmt: skip
    assert nodes.is_over(run, work)


def test_a_helper_stays_until_training_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "POLL_SECONDS", 0.01)
    run, work = some_run(tmp_path), Work(tmp_path / "checkpoints", "sha256:1")
    work.open(run, resume=True)
    work.offer()
    helper = threading.Thread(target=nodes.wait_for_finish, args=(run, work), daemon=True)
    helper.start()
    helper.join(0.2)
    assert helper.is_alive()
    work.finish(4, {})
    helper.join(10)
    assert not helper.is_alive()
