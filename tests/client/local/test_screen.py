"""The last screen, from records and results alone."""

import json
import re
import shlex
from pathlib import Path

import pytest

from osft_workspace.text import is_shown
from tests.client.local.sample import RUN, URL, results, write_run
from tests.client.local.support import OSFT, call
from tests.support.eval_results import Task

GOLDEN = Path(__file__).with_name("screen.txt")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_run(tmp_path)
    return tmp_path


def shown(workspace: Path, *words: str, **env: str) -> str:
    done = call(OSFT, "report", "--workspace", workspace, *words, **env)
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
    done = call(OSFT, "report", "--workspace", workspace, "other")
    assert done.returncode == 2
    assert "no finished run of 'other'" in done.stderr


def test_a_refused_run_shows_why(workspace: Path) -> None:
    folder = workspace / "runs" / RUN / "eval"
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "status": "refused"}))
    (folder / "results.json").write_text(json.dumps(results({"maxTaskDrop": 5})))
    text = shown(workspace)
    assert re.search(r"^demo-1a2b3c4d  the gate of eval failed; ", text)
    assert "Gates failed: Chemical symbols fell by 9.7 points (77.7 % before, 68.0 % after" in text


def test_a_fall_that_the_gate_allowed_stands_beside_passed(workspace: Path) -> None:
    _, headline, gates, *_ = shown(workspace).splitlines()
    assert headline == "It learned the new rows, but it forgot some of what it knew."
    assert gates.startswith(
        "Gates passed: Kept knowledge fell by 3.4 points, more than expected by chance, and"
    )


def test_a_mix_that_goes_on_is_told_below_the_gates(workspace: Path) -> None:
    path = workspace / "runs" / RUN / "eval" / "results.json"
    found = results()
    found["summary"]["mix"] = "The model that goes on is a mix: 40 % of the tuned weights."
    path.write_text(json.dumps(found))
    lines = shown(workspace).splitlines()
    assert lines[lines.index("") - 1] == found["summary"]["mix"]


def test_results_of_an_older_version_are_named_and_the_rest_is_shown(workspace: Path) -> None:
    path = workspace / "runs" / RUN / "eval" / "results.json"
    found = results()
    del found["summary"]
    path.write_text(json.dumps({**found, "schema": "osft-pipeline/eval-results/v1"}))
    text = shown(workspace)
    assert "Its results.json is of another version. Run the evaluation again to see its figures here." in text
    assert "What was kept" not in text
    assert URL in text


def test_an_unfinished_run_shows_what_there_is(workspace: Path) -> None:
    for stage in ("eval", "register"):
        (workspace / "runs" / RUN / stage / "record.json").unlink()
    text = shown(workspace)
    assert text.startswith(f"{RUN}  incomplete after train; ")
    assert "{download,train}/record.json" in text
    (workspace / "runs" / RUN / "train" / "record.json").unlink()
    assert f"runs/{RUN}/download/record.json" in shown(workspace)
    assert "train/model" in text
    assert "What was kept" not in text
    assert URL not in text


def test_a_workspace_without_runs_says_how_to_start_one(tmp_path: Path) -> None:
    done = call(OSFT, "report", "--workspace", tmp_path)
    assert done.returncode == 2
    assert "osft run NAME --local" in done.stderr


def test_titles_messages_and_questions_of_others_act_neither_on_the_terminal_nor_in_a_shell(
    workspace: Path,
) -> None:
    evil = "a\x1b[2J\n# b\u202e\x9b"
    folder = workspace / "runs" / RUN
    found = results(osft_verbs=Task(evil, 93, 91, 0, 0))
    found["summary"]["left_out"] = [f"{evil}: {evil}"]
    (folder / "eval" / "results.json").write_text(json.dumps(found))
    asked = {"messages": [{"role": "user", "content": 'x\\"; touch /tmp/forged; "$(id)\x1b[2J'}]}
    (folder / "download" / "eval.jsonl").write_text(json.dumps(asked) + "\n")
    printed = shown(workspace)
    assert all(is_shown(char) or char == "\n" for char in printed)
    assert r"A\x1b[2J # b\u202e\x9b" in printed
    command = printed.rpartition("Ask both models\n")[2].strip()
    assert shlex.split(command)[-1].startswith('x\\"; touch')
