"""What a stage's body hands back, where it may work, and when the record is there."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osft_workspace import Outcome, Record, Run, UserError, publish_dir, run_stage
from osft_workspace.command import exit_code_of

STRANGER = 12345


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


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another uid of group 0 can reach; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o2775)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another uid")
def test_another_uid_of_the_group_publishes_what_it_does_not_own(shared: Path) -> None:
    folder = shared / "staging" / "inside"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    (folder / "file").chmod(0o664)
    for path in (folder.parent, folder):
        path.chmod(0o775)
    os.seteuid(STRANGER)
    try:
        publish_dir(folder.parent, shared / "target")
    finally:
        os.seteuid(0)
    assert (shared / "target" / "inside" / "file").read_text() == "x"


@pytest.mark.parametrize("file", ["", "runs", "runs/r", "runs/r/train"])
def test_a_file_where_a_folder_belongs_is_reported(tmp_path: Path, file: str) -> None:
    place = tmp_path / "ws" / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()
    with pytest.raises(UserError, match=r"is not a folder|there is no workspace at"):
        start(tmp_path / "ws", lambda: None)
    assert Record.load(tmp_path / "ws" / "runs" / "r" / "train") is None


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR]
)
def test_a_path_that_cannot_be_used_is_the_users(capsys: pytest.CaptureFixture[str], number: int) -> None:
    assert exit_code_of(OSError(number, os.strerror(number), "/workspace/" + "x" * 5000)) == 2
    assert len(capsys.readouterr().err) < 500
