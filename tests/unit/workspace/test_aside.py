"""An old result stays until the new one is whole, wherever a start is cut off."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osft_workspace import Outcome, Record, Run, UserError, Workspace, run_stage, write_atomic
from osft_workspace.predecessors import open_record


class Killed(BaseException):
    """Stands for SIGKILL: nothing behind it runs but `finally`, which changes no result."""


def start(
    workspace: Path, text: str, *, overwrite: bool = True, stage: str = "train", **details: str
) -> Record:
    """One start of a stage whose result is a folder and a file with `text`."""

    def body(run: Run) -> Outcome:
        write_atomic(run.dir / "model" / f"{text}.txt", text)
        write_atomic(run.dir / "log.txt", text)
        return Outcome(outputs=["model", "log.txt"], details=details)

    inputs = {"text": text}
    return run_stage(
        stage, workspace, "r", inputs=inputs, needs=(), body=body, keep=("states",), overwrite=overwrite
    )


def whole(workspace: Path) -> str | None:
    """Return the text of the published result, checked against its record; None without a record."""
    record = open_record(Workspace(workspace), "r", "train")
    if record is None:
        return None
    assert record.damage(workspace) is None
    assert record.unnamed() is None
    return record.path("log.txt").read_text()


def test_other_inputs_whose_work_fails_leave_the_old_result(tmp_path: Path) -> None:
    start(tmp_path, "old")

    def body(run: Run) -> Outcome:
        write_atomic(run.dir / "log.txt", "half")
        raise UserError("the disk of the server is on fire.")

    with pytest.raises(UserError, match="on fire"):
        run_stage("train", tmp_path, "r", inputs={"text": "new"}, needs=(), body=body)
    assert whole(tmp_path) == "old"


def test_a_new_result_replaces_the_old_one_and_what_starts_share_stays(tmp_path: Path) -> None:
    home = tmp_path / "runs" / "r" / "train"
    start(tmp_path, "old")
    write_atomic(home / "states" / "step_1", "x")
    assert start(tmp_path, "new").dir == home
    assert whole(tmp_path) == "new"
    left = sorted(path.name for path in home.iterdir())
    assert left == [".lock", "log.txt", "model", "record.json", "states"]


CHANGES = ((os, "rename"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"))


@pytest.fixture
def killing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Arm a kill just before the given change of a folder: each rename, unlink, rmdir and mkdir counts."""
    left = [-1]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def change(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return real(*args, **kwargs)

        return change

    for module, name in CHANGES:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))

    def arm(number: int) -> None:
        left[0] = number

    yield arm
    left[0] = -1


def test_a_start_killed_before_any_change_leaves_the_old_or_the_new_result(
    tmp_path: Path, killing: Callable[[int], None]
) -> None:
    seen: list[str | None] = []
    for number in range(1, 100):
        workspace = tmp_path / str(number)
        workspace.mkdir()
        start(workspace, "old")
        killing(number)
        try:
            start(workspace, "new")
        except Killed:
            killing(-1)
            seen.append(whole(workspace))
            start(workspace, "new")
            assert whole(workspace) == "new"
            continue
        break
    else:
        pytest.fail("the start never came to its end")
    assert seen[0] == "old"
    # In between lies the moment in which files change places: no record is there, and the next start goes on.
    order = {"old": 0, None: 1, "new": 2}
    assert [order[text] for text in seen] == sorted(order[text] for text in seen)
    assert None in seen


def test_a_killed_start_that_was_whole_is_not_done_again(
    tmp_path: Path, killing: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "runs" / "r" / "train"
    start(tmp_path, "old")
    for number in range(1, 100):
        killing(number)
        try:
            start(tmp_path, f"new {number}")
        except Killed:
            killing(-1)
        if (home / "unfinished" / "record.json").exists() or (home / "finished").exists():
            break
    capsys.readouterr()
    start(tmp_path, f"new {number}")
    assert "already done" in capsys.readouterr().out
    assert whole(tmp_path) == f"new {number}"


def test_what_a_registered_version_points_to_is_replaced_only_when_asked(tmp_path: Path) -> None:
    start(tmp_path, "old", overwrite=False)
    start(tmp_path, "x", stage="register", uri="pvc://claim/runs/r/train/model", version="v7")
    with pytest.raises(UserError) as refused:
        start(tmp_path, "new", overwrite=False)
    assert str(refused.value) == (
        "the inputs of train changed, and version v7 in the Model Registry points to the model of run r "
        "(pvc://claim/runs/r/train/model), which would be replaced. Use another run id (leave runId empty), "
        "or set runOverwrite to true (--run-overwrite)."
    )
    assert whole(tmp_path) == "old"
    assert start(tmp_path, "old", overwrite=False).message == "done"  # nothing changed: nothing is replaced
    start(tmp_path, "new")
    assert whole(tmp_path) == "new"


def test_a_model_that_is_registered_from_elsewhere_may_be_made_again(tmp_path: Path) -> None:
    start(tmp_path, "old", overwrite=False)
    start(tmp_path, "x", stage="register", uri="s3://models/r", version="v7")
    start(tmp_path, "new", overwrite=False)
    assert whole(tmp_path) == "new"


def test_a_record_of_registration_that_was_edited_is_a_sentence(tmp_path: Path) -> None:
    start(tmp_path, "old", overwrite=False)
    start(tmp_path, "x", stage="register", uri="pvc://claim/runs/r/train/model", version="v7")
    record = tmp_path / "runs" / "r" / "register" / "record.json"
    record.write_text(record.read_text().replace('"pvc://claim/runs/r/train/model"', "5"))
    with pytest.raises(UserError, match=r"details\.uri is 5, expected a text"):
        start(tmp_path, "new", overwrite=False)
