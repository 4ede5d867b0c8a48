"""Progress from a log that grows."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osft_train import progress
from osft_train.progress import LOOK_SECONDS, JobStatus, Tail, Watch
from tests.unit.train.support import some_run
from tests.unit.train.test_metrics import line


def watching(tmp_path: Path, log: Path, **calls: Callable[..., None]) -> Watch:
    """Return a watch over a worker's log."""
    more: dict[str, Any] = {
        "each": lambda _: None,
        "lost": print,
        "too_early": print,
        "doing": lambda: "decomposed",
        **calls,
    }
    return Watch(some_run(tmp_path), log, total=5, done=0, report=False, stop_file=tmp_path / "stop", **more)


def test_only_whole_new_lines_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tail = Tail(path, skip=True)
    assert list(tail) == []
    path.write_text('{"step": 1}\n{"st')
    assert [entry["step"] for entry in tail] == [1]
    with path.open("a") as file:
        file.write('ep": 2}\n')
    assert [entry["step"] for entry in tail] == [2]
    assert list(tail) == []


def test_what_an_earlier_start_logged_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n')
    assert list(Tail(path, skip=True)) == []


def test_a_loss_that_is_not_a_number_is_reported_at_once(tmp_path: Path) -> None:
    path, lost = tmp_path / "log.jsonl", list[int]()
    with watching(tmp_path, path, lost=lost.append):
        path.write_text(json.dumps(line(1, 3.0)) + "\n" + json.dumps(line(2, float("nan"))) + "\n")
    assert lost == [2]


def test_a_stop_before_the_first_step_is_reported_and_a_later_one_is_the_workers(tmp_path: Path) -> None:
    path, told = tmp_path / "log.jsonl", threading.Event()
    (tmp_path / "stop").touch()
    with watching(tmp_path, path, too_early=told.set):
        assert told.wait(10)
    told.clear()
    with watching(tmp_path, path, too_early=told.set):
        path.write_text(json.dumps(line(1, 3.0)) + "\n")
        assert not told.wait(3 * LOOK_SECONDS)


def test_work_without_steps_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "STILL_SECONDS", 0.0)
    with watching(tmp_path, tmp_path / "log.jsonl"):
        time.sleep(2 * LOOK_SECONDS)
    assert "train still running last=decomposed seconds=" in capsys.readouterr().out


def test_a_status_that_cannot_be_sent_is_reported_once_and_never_fatal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "http://127.0.0.1:9/status")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_CA_CERT", str(token))
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(token))
    status = JobStatus(some_run(tmp_path))
    for _ in range(2):
        status.post(10, 5.0, {"loss": 1.0}, last=True)
    assert capsys.readouterr().out.count("TrainJob status not updated") == 1
