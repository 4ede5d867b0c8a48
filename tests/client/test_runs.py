"""`osft runs`, `osft report` and `osft fetch` over runs of this machine and of a cluster."""

import fcntl
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from osft_workspace import sha256_file
from tests.client.follow.cluster import Cluster
from tests.client.follow.test_command import Kubectl, finished
from tests.client.local.sample import RUN, URL, write_run
from tests.client.local.support import OSFT, call, on_terminal


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_run(tmp_path / "ws")
    return tmp_path / "ws"


def listed(workspace: Path, *words: str, path: Path | None = None) -> list[dict[str, Any]]:
    env = {"PATH": f"{path}:{os.environ['PATH']}"} if path else {}
    done = call(OSFT, "runs", "--json", "--workspace", workspace, *words, **env)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_finished_run_is_listed_with_what_it_learned_and_what_it_kept(workspace: Path) -> None:
    (run,) = listed(workspace, "--local")
    size = sum(path.stat().st_size for path in (workspace / "runs").rglob("*") if path.is_file())
    assert run == {
        "run": RUN,
        "where": "local",
        "parent": None,
        "state": "done",
        "stage": "register",
        "finished": None,
        "changed": run["changed"],
        "reason": None,
        "baseLoss": 3.8372,
        "tunedLoss": 2.6931,
        "retentionPoints": -3.36,
        "verdict": "worse",
        "version": URL,
        "bytes": size,
    }
    shown = call(OSFT, "runs", "--local", "--workspace", workspace).stdout
    for words in (RUN, "3.837 to 2.693", "-3.4 points", "worse", URL):
        assert words in shown


def test_the_keys_of_json_are_the_documented_ones(workspace: Path) -> None:
    text = " ".join(call(OSFT, "runs", "--help").stdout.split())
    for key in listed(workspace, "--local")[0]:
        assert key in text.partition("Keys of --json")[2], key


def test_a_run_that_works_is_running_and_one_that_was_stopped_is_incomplete(workspace: Path) -> None:
    for stage in ("eval", "register"):
        (workspace / "runs" / RUN / stage / "record.json").unlink()
    assert listed(workspace, "--local")[0]["state"] == "incomplete"
    with (workspace / "runs" / RUN / "eval" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert listed(workspace, "--local")[0]["state"] == "running"


def test_a_workspace_without_runs_says_how_to_start_one(tmp_path: Path) -> None:
    done = call(OSFT, "runs", "--local", "--workspace", tmp_path)
    assert done.returncode == 0 and "osft run NAME --data" in done.stdout


def failed(workspace: Path, message: str) -> None:
    """Make the run one whose last start failed in its evaluation."""
    for stage in ("eval", "register"):
        (workspace / "runs" / RUN / stage / "record.json").unlink()
    (workspace / "runs" / RUN / "eval" / "unfinished").mkdir()
    failure = {"stage": "eval", "exitCode": 2, "message": message, "ended": "2026-11-21T16:00:00+00:00"}
    (workspace / "runs" / RUN / "failure.json").write_text(json.dumps(failure))


def test_a_failed_run_is_listed_and_reported_with_where_and_why(workspace: Path) -> None:
    failed(workspace, "eval.tasks names no_such_task. Correct it.")
    (run,) = listed(workspace, "--local")
    why = "failed in eval with exit code 2: eval.tasks names no_such_task. Correct it."
    assert (run["state"], run["stage"], run["reason"]) == ("failed", "eval", why)
    assert f"\n  {why}\n" in call(OSFT, "runs", "--local", "--workspace", workspace).stdout
    shown = call(OSFT, "report", "demo", "--workspace", workspace).stdout
    assert shown.startswith(f"{RUN}  failed in eval; its stages took") and why in shown
    assert "Fix what the message names" in shown
    assert f"What it left: {os.path.relpath(workspace)}" in shown or f"What it left: {workspace}" in shown
    assert why in call(OSFT, "report", "--open", "--workspace", workspace).stderr
    found = json.loads(call(OSFT, "report", "--json", "--workspace", workspace).stdout)
    assert found["state"] == "failed" and found["failure"]["message"].startswith("eval.tasks")
    assert list(found["stages"]) == ["download", "train"] and found["results"] is None


def test_the_figures_of_a_report_are_printed_as_json(workspace: Path) -> None:
    found = json.loads(call(OSFT, "report", "--json", "--workspace", workspace).stdout)
    assert (found["run"], found["state"], found["failure"]) == (RUN, "done", None)
    assert found["version"] == URL and found["model"].endswith(f"runs/{RUN}/train/model")
    assert found["results"]["holdout"]["loss"] == {"base": 3.8372, "tuned": 2.6931}
    assert found["stages"]["train"]["seconds"] == 218.4


@pytest.mark.parametrize("width", [40, 80, 100, 120])
def test_the_list_fits_the_terminal(workspace: Path, width: int) -> None:
    failed(workspace, "a long reason " * 30)
    shown = on_terminal("runs", "--local", "--workspace", str(workspace), width=width)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:1] == ["run"] and RUN in lines[1] and "failed in eval" in lines[2]
    assert ("version" in lines[0]) == (width >= 100)


def test_an_empty_question_is_refused(workspace: Path) -> None:
    done = call(OSFT, "ask", " ", "--workspace", workspace)
    assert done.returncode == 2 and "the question is empty. Write one" in done.stderr


def test_the_package_runs_as_a_program() -> None:
    done = call(OSFT.with_name("python"), "-m", "osft_pipeline", "runs", "--help")
    assert done.returncode == 0 and "List the runs" in done.stdout


def test_runs_of_the_cluster_are_listed_too(workspace: Path, tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    kubectl.objects(finished())
    kubectl.write()
    local, cluster = listed(workspace, path=tmp_path)
    assert local["changed"] > cluster["changed"]
    assert (cluster["run"], cluster["where"], cluster["state"]) == ("run1-12dab11d", "team", "done")
    assert cluster["stage"] == "register" and local["run"] == RUN
    kubectl.objects(Cluster().trainjob().done("download", 1).running("train", 12))
    kubectl.write()
    assert listed(workspace, path=tmp_path)[1]["stage"] == "train"


def test_a_cluster_that_cannot_be_asked_is_named_and_local_runs_are_listed(
    workspace: Path, tmp_path: Path
) -> None:
    kubectl = Kubectl(tmp_path)
    kubectl.refuse("error: You must be logged in to the server (Unauthorized)")
    kubectl.write()
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = call(OSFT, "runs", "--workspace", workspace, **env)
    assert done.returncode == 0 and RUN in done.stdout
    assert "Runs on the cluster are not listed: the cluster did not accept your login" in done.stderr


def recorded(workspace: Path, files: dict[str, str]) -> None:
    """Give the run's training these outputs, with a whole record."""
    folder = workspace / "runs" / RUN / "train"
    outputs = []
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        outputs.append({"path": name, "size": len(text), "sha256": sha256_file(folder / name)})
    record = json.loads((folder / "record.json").read_text())
    record |= {"inputs": {}, "inputs_digest": "", "needs": {}, "shared": {}, "outputs": outputs}
    (folder / "record.json").write_text(json.dumps(record))


def fetch(workspace: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return call(OSFT, "fetch", *words, "--workspace", workspace)


FILES = {"model/config.json": "{}", "model/a/model.safetensors": "weights", "metrics.jsonl": "{}\n"}


def test_the_tuned_model_is_fetched_and_an_interrupted_copy_goes_on(workspace: Path, tmp_path: Path) -> None:
    recorded(workspace, FILES)
    target = tmp_path / "mine"
    done = fetch(workspace, "demo", "--to", target)
    assert done.returncode == 0, done.stderr
    assert "2 files, " in done.stdout and "every sha256 is as recorded" in done.stdout
    model = target / "train" / "model"
    assert (model / "a" / "model.safetensors").read_text() == "weights"
    kept = (model / "config.json").stat().st_ino
    (model / "a" / "model.safetensors").write_text("cut")
    assert fetch(workspace, "demo", "--to", target).returncode == 0
    assert (model / "a" / "model.safetensors").read_text() == "weights"
    assert (model / "config.json").stat().st_ino == kept
    assert sorted(path.name for path in model.rglob("*")) == ["a", "config.json", "model.safetensors"]


def test_one_file_is_fetched(workspace: Path, tmp_path: Path) -> None:
    recorded(workspace, FILES)
    assert fetch(workspace, "demo", "train/metrics.jsonl", "--to", tmp_path / "x").returncode == 0
    assert [path.name for path in (tmp_path / "x").rglob("*") if path.is_file()] == ["metrics.jsonl"]


def test_a_damaged_file_is_not_fetched(workspace: Path, tmp_path: Path) -> None:
    recorded(workspace, FILES)
    (workspace / "runs" / RUN / "train" / "model" / "config.json").write_text("[]")
    done = fetch(workspace, "demo", "--to", tmp_path / "x")
    assert done.returncode == 2 and "has a different sha256 than its record says" in done.stderr
    assert not [
        path for path in (tmp_path / "x").rglob("*") if path.is_file() and path.name != "model.safetensors"
    ]


@pytest.mark.parametrize("path", ["train/other", "../../x", "evil", "train/../eval"])
def test_what_no_record_names_is_refused_with_what_there_is(
    workspace: Path, tmp_path: Path, path: str
) -> None:
    recorded(workspace, FILES)
    done = fetch(workspace, "demo", path, "--to", tmp_path / "x")
    assert done.returncode == 2 and "has no recorded file" in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_report_is_copied_or_named_as_missing(workspace: Path, tmp_path: Path) -> None:
    missing = call(OSFT, "report", "--copy", tmp_path / "r.html", "--workspace", workspace)
    assert missing.returncode == 2 and "has no report" in missing.stderr
    (workspace / "runs" / RUN / "eval" / "report.html").write_text("<p>page</p>")
    done = call(OSFT, "report", "--copy", tmp_path / "r.html", "--workspace", workspace)
    assert done.returncode == 0 and (tmp_path / "r.html").read_text() == "<p>page</p>"
