"""`osft compare` over runs of this machine: table, figures and sentences, by the command."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from osft_workspace import sha256_file
from tests.client.local.support import OSFT, call, on_terminal
from tests.support.compared import make_run
from tests.support.eval_results import Task

FORGETS = {
    "osft_capitals": Task("World capitals", 120, 100, 0, 24),
    "osft_verbs": Task("Forms of irregular verbs", 90, 80, 0, 13),
}
GATES = {"maxTaskDrop": 5}
Compare = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    make_run(tmp_path, "mild-1", fall=0.8, learning_rate=1e-5, num_epochs=1)
    make_run(tmp_path, "wide-2", fall=1.2, learning_rate=5e-5, num_epochs=1, share=0.5)
    return tmp_path


@pytest.fixture
def compare(workspace: Path) -> Compare:
    return lambda *words: call(OSFT, "compare", *words, "--workspace", workspace)


def figures(compare: Compare, *runs: str) -> dict[str, Any]:
    done = compare(*runs, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_two_runs_stand_side_by_side_with_what_differs_and_which_to_ship(compare: Compare) -> None:
    done = compare("mild-1", "wide-2")
    assert done.returncode == 0, done.stderr
    head, first, second = done.stdout.splitlines()[:3]
    assert head.split()[:3] == ["run", "method", "learningRate"] and "num" not in head.lower()
    assert first.split()[:4] == ["A", "mild-1", "osft", "1e-05"] and "4.195 to 3.39" in first
    assert second.split()[:4] == ["B", "wide-2", "osft", "5e-05"] and "50 %" in second
    assert "85.7 to 83.8 % (-1.9)" in second and "unchanged" in second
    assert re.search(r"Held-out loss: B is better than A, -0.\d+ nats per token \(p < 0.001\)", done.stdout)
    told = " ".join(done.stdout.split())
    assert "Ship wide-2: of the 2 runs that qualify it learned most" in told


def test_a_run_that_learned_most_and_forgot_is_not_shipped(workspace: Path, compare: Compare) -> None:
    make_run(workspace, "strong-3", fall=2.0, tasks=FORGETS, learning_rate=1e-4)
    found = figures(compare, "mild-1", "wide-2", "strong-3")
    assert found["choice"]["run"] == "wide-2"
    assert "strong-3: it forgot more than expected by chance, and no gate" in found["choice"]["why"]
    assert found["front"] == ["strong-3", "wide-2"]
    (test,) = (one for one in found["tests"] if (one["a"], one["b"], one["measure"]) == (
        "mild-1", "strong-3", "osft_retention"
    ))  # fmt: skip
    # mild-1 lost items 0-3 and 0-2 of two tasks and gained 2 and 1; strong-3 lost 0-23 and 0-12.
    assert test["p"] == pytest.approx(binomtest(0, 33, 0.5).pvalue)
    assert test["difference"] == pytest.approx(-100 * 33 / 210) and test["verdict"] == "worse"
    p_values = [one["p"] for one in found["tests"]]
    assert test["pAdjusted"] >= test["p"] and max(p_values) <= 1
    low, high = test["interval"]
    assert low < test["difference"] < high < 0


def test_of_runs_that_learned_alike_the_one_that_kept_more_is_shipped(
    workspace: Path, compare: Compare
) -> None:
    keeps = {
        "osft_capitals": Task("World capitals", 120, 100, 0, 0),
        "osft_verbs": Task("Verbs", 90, 80, 0, 0),
    }
    make_run(workspace, "kept-3", fall=1.19, tasks=keeps)
    found = figures(compare, "mild-1", "wide-2", "kept-3")
    assert found["choice"]["run"] == "kept-3"
    assert "wide-2 learned most" in found["choice"]["why"] and "kept-3 kept more" in found["choice"]["why"]


def test_none_is_shipped_where_none_qualifies_and_each_reason_is_named(
    workspace: Path, compare: Compare
) -> None:
    make_run(workspace, "gate-3", tasks=FORGETS, rules=GATES)
    make_run(workspace, "idle-4", fall=0.0)
    found = figures(compare, "gate-3", "idle-4")
    assert found["choice"]["run"] is None
    assert found["choice"]["why"].startswith(
        "No run qualifies. gate-3: its gates failed; idle-4: its held-out"
    )
    assert found["runs"][0]["state"] == "refused"


def test_what_cannot_be_compared_is_named_and_the_rest_is_compared(workspace: Path, compare: Compare) -> None:
    make_run(workspace, "else-3", base="else", rows="more")
    make_run(workspace, "bare-4", samples=False)
    make_run(workspace, "short-5", evaluated=False)
    found = figures(compare, "mild-1", "wide-2", "else-3", "bare-4", "short-5")
    assert found["notes"] == [
        "D kept no scores of single items (eval.logSamples is false), so it is not tested against the "
        "others.",
        "E has no evaluation, so only its values, training, time and memory are shown.",
        "C was tuned from another base model than A.",
        "C was trained on other rows than A.",
        "C was measured on other held-out rows than A.",
        "The picture of learned against kept and the choice leave out C, because the base model, the "
        "held-out rows or the tasks are not those of the others.",
        "Held-out loss: A and C were given different items, so that they are not tested as pairs.",
        "Held-out loss: B and C were given different items, so that they are not tested as pairs.",
    ]
    assert found["comparable"] == ["mild-1", "wide-2", "bare-4"]
    assert {one["measure"] for one in found["tests"] if "else-3" in one.values()} == {"osft_retention"}
    assert "Not compared, because it was measured on something else: else-3." in found["choice"]["why"]
    assert found["runs"][4]["learned"] is None and found["runs"][4]["curve"]


def test_a_failed_run_is_compared_by_what_it_has(workspace: Path, compare: Compare) -> None:
    folder = make_run(workspace, "late-3", evaluated=False)
    failure = {
        "stage": "eval",
        "exitCode": 2,
        "message": "eval.tasks names x.",
        "ended": "2026-11-21T16:00:00+00:00",
    }
    (folder / "failure.json").write_text(json.dumps(failure))
    found = figures(compare, "mild-1", "late-3")
    assert found["notes"][0].startswith(
        "B has no evaluation (failed in eval with exit code 2: eval.tasks names x.)"
    )
    assert (
        found["choice"]["run"] == "mild-1" and "it is the only run that qualifies" in found["choice"]["why"]
    )


def test_two_runs_of_different_base_models_are_shown_and_none_is_chosen(
    workspace: Path, compare: Compare
) -> None:
    make_run(workspace, "else-3", base="else", rows="more")
    found = figures(compare, "mild-1", "else-3")
    assert found["choice"] == {
        "run": None,
        "why": "None is chosen: no two runs were measured on the same base model, rows and tasks.",
    }


def test_the_runs_are_read_from_records_of_their_stage(workspace: Path, compare: Compare) -> None:
    """A file that no record names is not read."""
    path = workspace / "runs" / "mild-1" / "train" / "record.json"
    record = json.loads(path.read_text())
    record["outputs"] = [one for one in record["outputs"] if one["path"] != "metrics.jsonl"]
    path.write_text(json.dumps(record))
    assert figures(compare, "mild-1", "wide-2")["runs"][0]["curve"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "found no RUN, expected two or more"),
        (["mild-1"], "found 1 RUN, expected two or more"),
        (["mild-1", "mild"], "mild is the run mild-1, which is already given"),
        (["mild-1", "nope", "other"], "no finished run of 'nope'"),
        (["mild-1", "nope", "other"], "no finished run of 'other'"),
        (["mild-1", "/tmp"], "'/tmp' is not a run, expected a run id or the name of a release."),
        (["mild-1", "../runs/wide-2"], "'../runs/wide-2' is not a run"),
        (["mild-1", "**"], "'**' is not a run"),
        (["mild-1", ""], "'' is not a run"),
        (["mild-1", "http://127.0.0.1/x"], "http://127.0.0.1/x is not the address of a version, expected"),
        (["mild-1", "wide-2", "-o", "/"], "is a directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_what_was_expected(
    workspace: Path, compare: Compare, words: list[str], said: str
) -> None:
    if "mild" in words:
        (workspace / "runs" / "mild-1").rename(workspace / "runs" / "mild-0123abcd")
        words, said = ["mild-0123abcd", "mild"], said.replace("mild-1", "mild-0123abcd")
    done = compare(*words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_file_is_named_with_its_run(workspace: Path, compare: Compare) -> None:
    (workspace / "runs" / "wide-2" / "train" / "metrics.jsonl").write_text('{"step": 1\n')
    done = compare("mild-1", "wide-2")
    assert done.returncode == 2 and "a file of run wide-2 cannot be read" in done.stderr


@pytest.mark.parametrize("damage", [{"groups": {"x": {"tasks": ["a", "b"]}}}, {"holdout": {"loss": 3}}])
def test_damaged_results_are_named_with_their_run(
    workspace: Path, compare: Compare, damage: dict[str, Any]
) -> None:
    path = workspace / "runs" / "wide-2" / "eval" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    done = compare("mild-1", "wide-2")
    assert done.returncode == 2 and "a file of run wide-2 cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("left", "said"), [(None, "is missing"), ("{}", "was changed"), ("[]", "was changed")]
)
def test_results_that_are_gone_are_not_called_those_of_another_version(
    workspace: Path, compare: Compare, left: str | None, said: str
) -> None:
    path = workspace / "runs" / "wide-2" / "eval" / "results.json"
    path.unlink() if left is None else path.write_text(left)
    done = compare("mild-1", "wide-2")
    assert done.returncode == 2 and f"eval/results.json {said}" in done.stderr, done.stdout


def test_figures_that_were_changed_by_hand_are_not_compared(workspace: Path, compare: Compare) -> None:
    path = workspace / "runs" / "wide-2" / "eval" / "results.json"
    results = json.loads(path.read_text())
    results["holdout"]["loss"]["tuned"] = 1.0
    path.write_text(json.dumps(results))
    done = compare("mild-1", "wide-2")
    assert done.returncode == 2 and "its digest is not that of the record" in done.stderr, done.stdout


def test_an_evaluation_of_another_version_is_named_and_the_rest_is_compared(
    workspace: Path, compare: Compare
) -> None:
    path = workspace / "runs" / "wide-2" / "eval" / "results.json"
    path.write_text(json.dumps({"schema": "osft-pipeline/eval-results/v1", "groups": {"x": {}}}))
    record = path.with_name("record.json")
    named = json.loads(record.read_text())
    for output in named["outputs"]:
        if output["path"] == path.name:
            output |= {"sha256": sha256_file(path), "size": path.stat().st_size}
    record.write_text(json.dumps(named))
    found = figures(compare, "mild-1", "wide-2")
    assert found["notes"][0].startswith("B has an evaluation of another version")
    assert found["choice"]["run"] == "mild-1" and found["runs"][1]["learned"] is None


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_the_terminal(workspace: Path, width: int) -> None:
    shown = on_terminal("compare", "mild-1", "wide-2", "--workspace", str(workspace), width=width)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= width
    assert ("Not shown on" in shown) == (width < 120) and "Ship wide-2" in shown
    if width == 80:  # the values that differ stay longest
        assert "learningRate" in lines[0] or "unfreezeRankRatio" in lines[0], lines[0]


def test_the_page_describes_every_key_of_json(compare: Compare) -> None:
    page = Path(OSFT.parents[3] / "docs" / "compare.md").read_text()
    found = figures(compare, "mild-1", "wide-2")
    keys = {*found, *found["runs"][0], *found["tests"][0], *found["choice"]}
    keys |= {*found["runs"][0]["learned"], *found["runs"][0]["kept"], *found["runs"][0]["curve"][0]}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
