"""Runs from Python: `train` on this machine, and what it refuses."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.client.local.support import OSFT, ROOT, call

PYTHON = OSFT.with_name("python")
TINY = ROOT / ".cache" / "tests" / "tiny"
TRAIN = """\
import json, sys
from pathlib import Path
from osft_pipeline import RunFailed, train

asked = json.loads(sys.argv[1])
try:
    run = train(
        name="mine", model=Path(asked["tiny"]) / "model",
        dataset=Path(asked["tiny"]) / asked.get("rows", "train.jsonl"),
        resources_per_worker={"gpu": 0}, local=True, workspace=Path(asked["workspace"]),
        parameters={"effective_batch_size": 16, "max_tokens_per_gpu": 1024, "maxSequenceLength": 256,
                    "learning_rate": 0.002, "warmup_steps": 1},
        values={"data": {"subset": 64}, "preflight": {"addresses": False}, "workspace": {"minFreeGiB": 0},
                "eval": {"gpus": 0, "limit": 2, "holdout": {"limit": 8, "generate": 0}}},
    )
except RunFailed as failed:
    print("failed", failed.exit_code)
else:
    found = {"status": run.status, "wait": run.wait(), "id": run.run_id, "results": run.results["summary"],
             "report": run.report()._repr_html_()[:8]}
    print("found " + json.dumps(found))
"""


def python(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the client's environment."""
    return subprocess.run(
        [PYTHON, "-c", program, *words],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def tiny() -> Path:
    maker = [ROOT / ".venvs/train/bin/python", ROOT / "tests/support/tiny_model.py", TINY]
    assert call(*maker).returncode == 0
    return TINY


def test_train_runs_the_stages_here_and_gives_back_what_came_of_it(tiny: Path, tmp_path: Path) -> None:
    asked = json.dumps({"tiny": str(tiny), "workspace": str(tmp_path)})
    done = python(TRAIN, asked)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.rpartition("\nfound ")[2])
    assert (found["status"], found["wait"], found["report"]) == ("done", "done", "<iframe ")
    assert found["id"].startswith("mine-") and found["results"]["headline"]
    record = json.loads((tmp_path / "runs" / found["id"] / "train" / "record.json").read_text())
    arguments = record["details"]["arguments"]
    assert (arguments["learning_rate"], arguments["warmup_steps"], arguments["max_seq_len"]) == (
        0.002,
        1,
        256,
    )
    again = python(TRAIN, asked)
    assert again.stdout.count(" already done ") == 4, again.stdout + again.stderr


def test_a_run_that_fails_raises_with_the_stage_s_exit_code(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("no row\n")
    rows = os.path.relpath(tmp_path / "rows.jsonl", tiny)
    done = python(TRAIN, json.dumps({"tiny": str(tiny), "workspace": str(tmp_path / "ws"), "rows": rows}))
    assert done.stdout.rstrip().endswith("failed 2"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("call_of", "said"),
    [
        (
            "parameters={'learning_rat': 1}",
            "'learning_rat' is not a parameter of training (parameters). Did you mean learning_rate",
        ),
        (
            "resources_per_worker={'gpus': 2}",
            "'gpus' is not a resource (resources_per_worker). Did you mean gpu?",
        ),
        (
            "parameters={'lora': {'dropouts': 0.1}}",
            "train.lora.dropouts is not a value of the chart. Did you mean train.lora.dropout?",
        ),
        ("parameters={'model_path': 'x'}", "'model_path' is not a parameter of training"),
        ("method='grpo'", "method"),
        ("values={'trian': {}}", "trian is not a value of the chart. Did you mean train?"),
        # No daemon, no images or no docker: each is a sentence.
        ("engine='docker'", "UserError: docker "),
    ],
)
def test_a_mistake_is_raised_before_anything_starts(call_of: str, said: str, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\nfrom osft_pipeline import train\n"
        f"train(name='x', model='hf://a/b', dataset='hf://a/c', local=True, "
        f"workspace=Path({str(tmp_path)!r}), "
        f"{call_of})"
    )
    done = python(program)
    assert done.returncode == 1
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_path_of_this_machine_is_not_given_to_a_cluster(tmp_path: Path) -> None:
    program = f"from osft_pipeline import train\ntrain(name='x', model='hf://a/b', dataset={str(tmp_path)!r})"
    done = python(program)
    assert done.returncode == 1 and "the cluster's pods cannot read it" in done.stderr


def test_methods_and_what_they_need_are_listed() -> None:
    program = "from osft_pipeline import *\nprint(list_methods(), required_parameters('osft'))"
    assert python(program).stdout == "['osft', 'sft', 'lora', 'qlora'] ['name', 'model', 'dataset']\n"
