"""The last screen, from records and results alone."""

import json
import re
from pathlib import Path

import pytest

from tests.stages.local.sample import RUN, URL, results, write_run
from tests.stages.local.support import RUN_LOCAL, call

GOLDEN = Path(__file__).with_name("screen.txt")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_run(tmp_path)
    return tmp_path


def shown(workspace: Path, *words: str, **env: str) -> str:
    done = call(RUN_LOCAL, "--summary", "--workspace", workspace, *words, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(str(workspace), "WORKSPACE")


def test_the_screen_is_what_the_golden_file_says(workspace: Path) -> None:
    assert shown(workspace) == GOLDEN.read_text()


def test_no_line_is_wider_than_a_hundred_columns(workspace: Path) -> None:
    assert max(map(len, shown(workspace).splitlines())) <= 100


def test_the_screen_names_the_registered_version(workspace: Path) -> None:
    assert URL in shown(workspace)


def test_no_escape_code_reaches_a_pipe(workspace: Path) -> None:
    assert "\x1b" not in shown(workspace, NO_COLOR="")


def test_a_release_name_chooses_its_run(workspace: Path) -> None:
    assert shown(workspace, "demo").startswith(RUN)
    done = call(RUN_LOCAL, "--summary", "--workspace", workspace, "other")
    assert done.returncode == 2
    assert "no finished run of 'other'" in done.stderr


def test_a_refused_run_shows_why(workspace: Path) -> None:
    folder = workspace / "runs" / RUN / "eval"
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "status": "refused"}))
    refused = {"passed": False, "failures": ["Chemical symbols fell by 9.7 points, at most 5 are allowed."]}
    (folder / "results.json").write_text(json.dumps({**results(), "gates": refused}))
    text = shown(workspace)
    assert re.search(r"^demo-1a2b3c4d  refused by eval", text)
    assert "Refused  Chemical symbols fell by 9.7 points" in text


def test_an_unfinished_run_shows_what_there_is(workspace: Path) -> None:
    for stage in ("eval", "register"):
        (workspace / "runs" / RUN / stage / "record.json").unlink()
    text = shown(workspace)
    assert "train/model" in text
    assert "What was kept" not in text
    assert URL not in text


def test_a_workspace_without_runs_says_how_to_start_one(tmp_path: Path) -> None:
    done = call(RUN_LOCAL, "--summary", "--workspace", tmp_path)
    assert done.returncode == 2
    assert "make demo" in done.stderr
