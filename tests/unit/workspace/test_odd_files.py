"""What others may put in place of a stage's files: pipes, devices, folders, links, records that lie."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osft_workspace import Outcome, Record, Run, UserError, run_stage


def start(workspace: Path, stage: str = "train", needs: tuple[str, ...] = ()) -> Record:
    def body(run: Run) -> Outcome:
        (run.dir / "out").write_text("x")
        return Outcome(outputs=["out"])

    return run_stage(stage, workspace, "r", inputs={}, needs=needs, body=body, keep=("kept",))


def to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def to_another(path: Path) -> None:
    path.with_name("elsewhere").write_text("{}")
    path.symlink_to("elsewhere")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is a pipe, expected"),
    "device": (to_zero, "is a link, expected"),
    "link": (to_another, "is a link, expected"),
    "folder": (Path.mkdir, "is a folder, expected"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["record.json", ".lock"])
@pytest.mark.parametrize("kind", list(ODD))
def test_something_else_than_a_file_is_reported(tmp_path: Path, kind: str, name: str) -> None:
    make, sentence = ODD[kind]
    folder = tmp_path / "runs" / "r" / "train"
    folder.mkdir(parents=True)
    make(folder / name)
    with pytest.raises(UserError, match=sentence):
        start(tmp_path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", list(ODD))
def test_something_else_than_a_predecessors_record_is_reported(tmp_path: Path, kind: str) -> None:
    start(tmp_path, "download")
    record = tmp_path / "runs" / "r" / "download" / "record.json"
    record.unlink()
    ODD[kind][0](record)
    with pytest.raises(UserError, match=ODD[kind][1]):
        start(tmp_path, needs=("download",))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_something_else_than_a_predecessors_file_is_reported(tmp_path: Path, kind: str) -> None:
    start(tmp_path, "download")
    out = tmp_path / "runs" / "r" / "download" / "out"
    out.unlink()
    ODD[kind][0](out)
    with pytest.raises(UserError, match="is damaged: out is not a regular file"):
        start(tmp_path, needs=("download",))


def test_a_record_larger_than_any_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r" / "train"
    folder.mkdir(parents=True)
    huge(folder / "record.json")
    with pytest.raises(UserError, match=r"has 1099511627776 bytes, expected the record"):
        start(tmp_path)


@pytest.mark.parametrize("link", ["runs", "runs/r", "runs/r/train"])
@pytest.mark.parametrize("there", [True, False])
def test_a_run_that_links_lead_out_of_the_workspace_is_rejected(
    tmp_path: Path, link: str, there: bool
) -> None:
    workspace, outside = tmp_path / "ws", tmp_path / "outside"
    (workspace / link).parent.mkdir(parents=True)
    if there:
        outside.mkdir()
    (workspace / link).symlink_to(outside)
    with pytest.raises(UserError, match=r"is a link to .*outside"):
        start(workspace)
    assert not outside.exists() or not list(outside.iterdir())


def test_a_predecessor_outside_of_the_workspace_is_rejected(tmp_path: Path) -> None:
    workspace, other = tmp_path / "ws", tmp_path / "other"
    workspace.mkdir()
    other.mkdir()
    start(other, "download")
    (workspace / "runs" / "r").mkdir(parents=True)
    (workspace / "runs" / "r" / "download").symlink_to(other / "runs" / "r" / "download")
    with pytest.raises(UserError, match="is a link to"):
        start(workspace, needs=("download",))


def test_links_in_a_circle_are_reported(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "r").symlink_to("r")
    with pytest.raises(UserError, match="its links go in a circle"):
        start(tmp_path)


def test_a_link_inside_the_workspace_and_a_linked_workspace_work(tmp_path: Path) -> None:
    workspace = tmp_path / "real"
    (workspace / "big" / "runs").mkdir(parents=True)
    (workspace / "runs").symlink_to("big/runs")
    (tmp_path / "ws").symlink_to("real")
    assert start(tmp_path / "ws").status == "done"
    assert start(tmp_path / "ws").status == "done"


@pytest.mark.parametrize("name", ["kept", "kept/inside"])
@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_something_else_than_files_in_a_kept_folder_is_reported(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / "runs" / "r" / "train" / name
    path.parent.mkdir(parents=True)
    ODD[kind][0](path)
    with pytest.raises(UserError, match=ODD[kind][1]):
        start(tmp_path)


def test_a_run_that_is_a_link_to_another_run_is_rejected(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "runs" / "r").rename(tmp_path / "runs" / "s")
    (tmp_path / "runs" / "r").symlink_to("s")
    with pytest.raises(UserError, match=r"is a link to .*runs/s"):
        start(tmp_path)


def change(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.update(fields)


FILE = {"path": "out", "size": 1, "sha256": "sha256:0"}
LIES: dict[str, tuple[Callable[[dict[str, Any]], object] | bytes, str]] = {
    "not JSON": (b"{", "is not JSON"),
    "deep JSON": (b"[" * 100_000, "nested more than 64 levels deep"),
    "not UTF-8": (b'{"schema": "\xff"}', "is not UTF-8"),
    "a list": (b"[]", "has schema 'list'"),
    "another schema": (change(schema="v2\n\x1b"), r"has schema 'v2\\n\\x1b'"),
    "an unknown field": (change(more=1), "is not a complete record"),
    "no fields": (b'{"schema": "osft-pipeline/record/v1"}', "is not a complete record"),
    "outputs that are a text": (change(outputs="out"), "outputs is 'out', expected a list"),
    "an output that is a number": (change(outputs=[1]), r"outputs\[0\] is 1, expected an object"),
    "an output elsewhere": (change(outputs=[FILE | {"path": "../x"}]), "files of its folder"),
    "an output at a path": (change(outputs=[FILE | {"path": "/etc/passwd"}]), "files of its folder"),
    "an output without a size": (change(outputs=[{"path": "out"}]), "has no size and sha256"),
    "shared folders elsewhere": (change(shared={"../x": "sha256:0"}), "folders of the workspace"),
    "inputs that are a list": (change(inputs=[]), r"inputs is \[\], expected an object"),
    "a message that is a number": (change(message=1), "message is 1, expected a text"),
    "needs that are null": (change(needs=None), "needs is null, expected an object"),
}


@pytest.mark.parametrize("lie", list(LIES))
@pytest.mark.parametrize("stage", ["train", "download"])
def test_a_record_that_is_wrong_is_reported(tmp_path: Path, lie: str, stage: str) -> None:
    content, sentence = LIES[lie]
    start(tmp_path, stage)
    path = tmp_path / "runs" / "r" / stage / "record.json"
    if callable(content):
        record = json.loads(path.read_bytes())
        content(record)
        content = json.dumps(record).encode()
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        start(tmp_path, needs=("download",) if stage == "download" else ())
    assert caught.value.message.isprintable()


def test_what_a_stage_says_is_kept_printable(tmp_path: Path) -> None:
    def body(run: Run) -> Outcome:
        run.choice("template", "a\x1b\nb", "half \ud800 pair")
        return Outcome(outputs=[], message="done\n\x1b[2K\udcff", details={"names\ud800": ["a\udcff"]})

    record = run_stage("train", tmp_path, "r", inputs={}, needs=(), body=body)
    assert record.message == r"done \x1b[2K\xff"
    kept = Record.load(tmp_path / "runs" / "r" / "train")
    assert kept is not None
    assert kept.details == {r"names\ud800": [r"a\udcff"]}
