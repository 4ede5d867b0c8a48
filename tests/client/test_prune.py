"""`osft prune` over a workspace of runs that share a base model."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from tests.client.local.support import OSFT, call, on_terminal
from tests.support.prunable import fill, make_run, there


def prune(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return call(OSFT, "prune", "--workspace", workspace, *words)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return fill(tmp_path)


def test_an_old_run_goes_with_what_only_it_needs(workspace: Path) -> None:
    shown = prune(workspace, "--dry-run")
    assert shown.returncode == 0 and "2 folders, 1 MiB; nothing was removed" in shown.stdout, shown.stderr
    assert "keeps    kept-1 is registered" in shown.stdout
    assert there(workspace)[0] == ["kept-1", "new-1", "old-1"]
    done = prune(workspace, "--yes")
    assert done.returncode == 0 and "removed 2 folders" in done.stdout, done.stderr
    assert there(workspace) == (["kept-1", "new-1"], [".staging", "kept-1", "new-1", "shared"])
    assert "Nothing to remove" in prune(workspace, "--yes").stdout


def test_a_named_run_goes_however_young(workspace: Path) -> None:
    assert prune(workspace, "new-1", "--yes").returncode == 0
    assert there(workspace) == (["kept-1", "old-1"], [".staging", "kept-1", "old-1", "shared"])


def test_a_registered_run_is_never_removed(workspace: Path) -> None:
    done = prune(workspace, "kept-1", "old-1", "--yes")
    assert done.returncode == 2 and "run kept-1 is registered" in done.stderr
    assert there(workspace)[0] == ["kept-1", "new-1", "old-1"]
    assert prune(workspace, "--older-than=0", "--yes").returncode == 0
    assert there(workspace) == (["kept-1"], [".staging", "kept-1", "shared"])


def test_the_base_model_of_a_registered_adapter_stays_without_the_download(workspace: Path) -> None:
    """An adapter that was not merged relies on its base model by the record of train itself."""
    run = workspace / "runs" / "kept-1"
    (run / "download").rename(run / "train")
    record = run / "train" / "record.json"
    record.write_text(record.read_text().replace('"stage": "download"', '"stage": "train"'))
    assert prune(workspace, "--older-than=0", "--yes").returncode == 0
    assert there(workspace) == (["kept-1"], [".staging", "kept-1", "shared"])


def test_while_a_run_is_running_it_stays_and_so_do_all_caches(workspace: Path) -> None:
    with (workspace / "runs" / "old-1" / "download" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = prune(workspace, "--older-than=0", "--yes")
    assert done.returncode == 0 and "old-1 is running" in done.stdout
    assert there(workspace) == (["kept-1", "old-1"], [".staging", "kept-1", "new-1", "old-1", "shared"])


def test_without_a_terminal_nothing_is_removed_unasked(workspace: Path) -> None:
    done = prune(workspace)
    assert done.returncode == 2 and "Add --yes" in done.stderr
    assert there(workspace)[0] == ["kept-1", "new-1", "old-1"]


def test_a_run_that_does_not_exist_is_named_with_those_that_do(workspace: Path) -> None:
    done = prune(workspace, "other", "--yes")
    assert done.returncode == 2 and "has no run other. It has: kept-1, new-1, old-1" in done.stderr


def test_what_a_killed_prune_left_goes_with_the_next_one(workspace: Path) -> None:
    (workspace / "runs" / ".removed-x").mkdir()
    assert "left by an earlier prune" in prune(workspace, "--yes").stdout
    assert not (workspace / "runs" / ".removed-x").exists()


def test_a_damaged_record_removes_no_cache(workspace: Path) -> None:
    (workspace / "runs" / "new-1" / "download" / "record.json").write_text("{")
    done = prune(workspace, "--yes")
    assert done.returncode == 2 and "new-1/download" in done.stderr
    assert there(workspace)[1] == [".staging", "kept-1", "new-1", "old-1", "shared"]


def test_the_name_of_a_release_stands_for_all_its_runs(workspace: Path) -> None:
    for name in ("mine-1a2b3c4d", "mine-00000000", "mine-2-1a2b3c4d"):
        make_run(workspace, name, old=False, registered=name == "mine-00000000")
    done = prune(workspace, "mine", "--yes")
    assert done.returncode == 0, done.stderr
    assert "keeps    mine-00000000 is registered" in done.stdout
    assert there(workspace)[0] == ["kept-1", "mine-00000000", "mine-2-1a2b3c4d", "new-1", "old-1"]


def test_a_no_is_answered(workspace: Path) -> None:
    shown = on_terminal("prune", "--workspace", str(workspace), typed="n")
    assert "Remove 2 folders" in shown and shown.rstrip().endswith("Nothing was removed.")
    assert there(workspace)[0] == ["kept-1", "new-1", "old-1"]
