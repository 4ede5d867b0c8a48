"""`osft-ops prune`, which `osft prune` runs in a pod: lists, and removes what was listed and is unchanged."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.prunable import OLD, fill, make_run, there

OPS = Path(sys.executable).with_name("osft-ops")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return fill(tmp_path)


def prune(workspace: Path, *words: str, given: Any = None) -> subprocess.CompletedProcess[str]:
    command = [OPS, "prune", f"--workspace={workspace}", *words]
    return subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)


def listed(workspace: Path, *words: str) -> dict[str, Any]:
    """What a call without --remove prints."""
    done = prune(workspace, *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def removed(workspace: Path, items: Any, *words: str) -> tuple[list[str], list[str]]:
    """Remove items; paths of what was removed and of what had changed."""
    done = prune(workspace, "--remove=-", *words, given=items)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return [item["path"] for item in answer["removed"]], [item["path"] for item in answer["changed"]]


def test_what_can_be_removed_is_listed_and_nothing_is_removed(workspace: Path) -> None:
    found = listed(workspace)
    assert [(item["path"], item["what"]) for item in found["items"]] == [
        ("runs/old-1", "run"),
        ("cache/models/old-1", "cache"),
    ]
    assert found["kept"] == ["kept-1 is registered", "new-1 is younger than the limit"]
    assert there(workspace) == (
        ["kept-1", "new-1", "old-1"],
        [".staging", "kept-1", "new-1", "old-1", "shared"],
    )


def test_what_was_listed_is_removed_and_no_more(workspace: Path) -> None:
    items = listed(workspace, "old-1")["items"]
    make_run(workspace, "old-2")
    assert removed(workspace, items) == (["runs/old-1", "cache/models/old-1"], [])
    assert there(workspace)[0] == ["kept-1", "new-1", "old-2"]
    assert removed(workspace, items) == ([], ["runs/old-1", "cache/models/old-1"])


def test_runs_that_a_run_which_stays_continues_are_kept(workspace: Path) -> None:
    make_run(workspace, "task-1")
    make_run(workspace, "task-2", chain=("task-1",))
    make_run(workspace, "task-3", chain=("task-1", "task-2"), registered=True)
    kept = listed(workspace)["kept"]
    assert {"task-1 is continued by run task-3", "task-2 is continued by run task-3"} <= set(kept)
    done = prune(workspace, "task-1")
    assert done.returncode == 2
    assert "run task-1 is continued by run task-2, so it is not removed." in done.stderr


def test_a_whole_chain_is_removed_together(workspace: Path) -> None:
    make_run(workspace, "task-1")
    make_run(workspace, "task-2", chain=("task-1",))
    items = listed(workspace, "task-1", "task-2")["items"]
    make_run(workspace, "task-3", chain=("task-1", "task-2"))
    assert removed(workspace, items)[0] == []
    shown = listed(workspace, "task-1", "task-2", "task-3")["items"]
    assert {"runs/task-1", "runs/task-2", "runs/task-3"} <= set(removed(workspace, shown)[0])


def test_a_run_that_changed_since_it_was_listed_stays_with_its_model(workspace: Path) -> None:
    items = listed(workspace, "--older-than=0")["items"]
    make_run(workspace, "other", old=False)
    (workspace / "runs" / "old-1" / "download" / "more").touch()
    gone, changed = removed(workspace, items)
    assert gone == ["runs/new-1", "cache/models/new-1"]
    assert changed == ["runs/old-1", "cache/models/old-1"]
    assert there(workspace)[0] == ["kept-1", "old-1", "other"]


def test_a_run_that_was_registered_since_it_was_listed_stays(workspace: Path) -> None:
    items = listed(workspace, "old-1")["items"]
    record = workspace / "runs" / "old-1" / "register" / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"details": {"version": "v1"}}))
    assert removed(workspace, items) == ([], ["runs/old-1", "cache/models/old-1"])


def test_a_run_that_the_cluster_calls_active_is_running(workspace: Path) -> None:
    found = listed(workspace, "--older-than=0", "--active=old-1")
    assert [item["path"] for item in found["items"]] == ["runs/new-1"]
    assert "old-1 is running" in found["kept"]
    assert "caches are kept while a run is running" in found["kept"]
    named = prune(workspace, "--active=old-1", "old-1")
    assert named.returncode == 2 and "run old-1 is running, so it is not removed" in named.stderr
    items = listed(workspace)["items"]
    assert removed(workspace, items, "--active=old-1") == ([], ["runs/old-1", "cache/models/old-1"])


@pytest.mark.parametrize("path", ["..", "runs/../..", "runs/kept-1", "cache/models/shared", "/etc"])
def test_a_folder_that_no_listing_holds_is_not_removed(workspace: Path, path: str) -> None:
    assert removed(workspace, [{"path": path, "what": "run", "bytes": 0, "written": 0}]) == ([], [path])
    assert there(workspace)[0] == ["kept-1", "new-1", "old-1"]


def test_decompositions_go_once_no_training_used_them_for_long(workspace: Path) -> None:
    for name in ("lately", "long-ago"):
        folder = workspace / "cache" / "osft" / name
        folder.mkdir(parents=True)
        (folder / "matrix.safetensors").write_bytes(b"x")
        os.utime(folder / "matrix.safetensors", (OLD, OLD))
    os.utime(folder, (OLD, OLD))
    items = [item for item in listed(workspace)["items"] if "osft" in item["path"]]
    assert [(item["path"], item["what"]) for item in items] == [("cache/osft/long-ago", "cache")]
    assert removed(workspace, items) == (["cache/osft/long-ago"], [])
    assert [path.name for path in (workspace / "cache" / "osft").iterdir()] == ["lately"]


def test_a_list_of_something_else_is_named(workspace: Path) -> None:
    done = prune(workspace, "--remove=-", given={"runs": "all"})
    assert done.returncode == 2 and "--remove holds something else than a JSON list of items" in done.stderr


def test_a_link_in_place_of_a_run_or_a_cache_is_kept(workspace: Path, tmp_path: Path) -> None:
    (workspace / "runs" / "linked").symlink_to(tmp_path)
    (workspace / "cache" / "models" / "linked").symlink_to(tmp_path)
    found = listed(workspace, "--older-than=0")
    assert "linked is a link" in found["kept"]
    assert not [item for item in found["items"] if "linked" in item["path"]]
