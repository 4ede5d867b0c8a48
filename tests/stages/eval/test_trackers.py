"""The figures of an evaluation in the trackers, and evaluations whose tracker does not take them."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stages.eval.conftest import Stage, village_rows
from tests.support.mlflow_server import MlflowServer
from tests.support.sandbox import ROOT
from tests.support.scripted import Reply, Scripted, drip, endless, of_json
from tests.support.trained_run import make_trained_run

RUN = "0123456789abcdef0123456789abcdef"
TOKEN = "canary-mlflow-0815"
FAST = ("--tasks=none", "--holdout-generate=0")
NEEDED = (
    "wandb sentry_sdk git gitdb smmap platformdirs pydantic pydantic_core annotated_types "
    "typing_inspection opentelemetry"
)
"""What the client of Weights & Biases imports."""
NUMBERS = itertools.count()
TRACKERS = {
    "mlflow": {"run_id": RUN, "experiment_id": "1"},
    "wandb": {"run_id": "k3v9x1ab", "project": "ours"},
}


@pytest.fixture
def tracked(stage: Stage, base_model: Path, blank_model: Path) -> str:
    """A run whose record of train names its runs in both trackers; each test has its own."""
    run_id = f"tracked-{next(NUMBERS)}"
    rows = village_rows(4)
    make_trained_run(
        stage.workspace, run_id, base=base_model, tuned=blank_model, rows=rows, trackers=TRACKERS
    )
    return run_id


@pytest.fixture
def server() -> Iterator[MlflowServer]:
    found = MlflowServer(credential=f"Bearer {TOKEN}")
    found.add_run(RUN, "one").figures["loss"] = [(1, 4.0), (20, 3.0)]
    yield found
    found.close()


def evaluated(stage: Stage, run_id: str, *args: str, **env: str) -> tuple[int, str]:
    """Evaluate with these variables."""
    return Stage(stage.workspace, stage.scratch, env).run(run_id, *FAST, *args)


def test_the_training_s_run_in_mlflow_gets_every_figure_and_the_report(
    stage: Stage, tracked: str, server: MlflowServer
) -> None:
    code, printed = evaluated(
        stage, tracked, f"--mlflow-tracking-uri={server.url}", MLFLOW_TRACKING_TOKEN=TOKEN
    )
    assert code == 0, printed
    (run,) = server.runs.values()
    metrics = stage.record(tracked)["metrics"]
    assert {"holdout_loss_base", "holdout_loss_tuned", "holdout_perplexity_tuned"} <= set(metrics)
    assert {name: points[-1] for name, points in run.figures.items() if name != "loss"} == {
        f"eval/{name}": (20, pytest.approx(value)) for name, value in metrics.items()
    }
    assert run.figures["loss"] == [(1, 4.0), (20, 3.0)]
    assert run.tags == {"osft.run_id": tracked, "osft.gates": "open"}
    for name in ("report.html", "results.json"):
        assert run.files[f"evaluation/{name}"] == (stage.dir(tracked) / name).read_bytes()
    assert f"figures sent to MLflow run={RUN} figures={len(metrics)} files=2" in printed
    assert TOKEN not in printed
    asked = len(server.http.asked)
    assert evaluated(stage, tracked, f"--mlflow-tracking-uri={server.url}")[0] == 0
    assert len(server.http.asked) == asked  # already done


def test_a_model_that_failed_the_gate_is_in_mlflow_with_its_mix(
    stage: Stage, base_model: Path, blank_model: Path, server: MlflowServer
) -> None:
    server.credential = "Basic bWU6c2VjcmV0OndvcmQ="
    rows = village_rows(4)
    make_trained_run(
        stage.workspace, "worse", base=blank_model, tuned=base_model, rows=rows, trackers=TRACKERS
    )
    code, printed = evaluated(
        stage, "worse", f"--mlflow-tracking-uri={server.url}/", '--gates={"holdoutMustImprove": true}',
        "--mix-mode=fixed", "--mix-share=0.99",
        MLFLOW_TRACKING_USERNAME="me", MLFLOW_TRACKING_PASSWORD="secret:word",
    )  # fmt: skip
    assert code == 3, printed
    figures = server.runs[RUN].figures
    assert figures["eval/gates_passed"] == [(20, 0.0)]
    assert figures["eval/mix_share"] == [(20, 0.99)]
    assert server.runs[RUN].tags["osft.gates"] == "failed"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(401, b"no"), "denied access (401: Reply). Check the Secret in secrets.mlflow"),
        (of_json({"message": "Run is gone"}, 404), "answered 404: Run is gone"),
        (of_json({"message": "Database is locked"}, 503), "answered 503: Database is locked"),
        (Reply(200, b"<html>log in</html>"), "expected MLflow's REST API. Check train.tracking.mlflow.uri"),
        (Reply(302, b"", {"Location": "http://169.254.169.254/"}), "169.254.169.254"),
        (Reply(200, b'{"run": [1]}'), "figures sent to MLflow"),
        (endless(), "with more than 4 MB"),
    ],
    ids=["denied", "unknown run", "broken", "another server", "to metadata", "no address", "endless"],
)
def test_a_server_that_refuses_ends_no_evaluation(
    stage: Stage, tracked: str, reply: Reply, said: str
) -> None:
    with Scripted(lambda asked: reply) as server:
        code, printed = evaluated(
            stage, tracked, f"--mlflow-tracking-uri={server.url}", MLFLOW_TRACKING_TOKEN=TOKEN
        )
    assert code == 0, printed
    assert said in printed and TOKEN not in printed
    assert stage.record(tracked)["status"] == "done"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached"),
        ("file:/tmp/runs", "sends its figures to a server only"),
        ("http://169.254.169.254", "to which no stage may send requests"),
        ("http://8.8.8.8", "MLFLOW_TRACKING_TOKEN is set and http://8.8.8.8 is a public address"),
        ("http://[half", "which is not an address"),
    ],
)
def test_an_address_that_cannot_be_used_ends_no_evaluation(
    stage: Stage, tracked: str, address: str, said: str
) -> None:
    code, printed = evaluated(stage, tracked, f"--mlflow-tracking-uri={address}", MLFLOW_TRACKING_TOKEN=TOKEN)
    assert code == 0, printed
    assert "figures are not in MLflow seen=" in printed and said in printed and TOKEN not in printed


def test_an_address_with_a_password_is_refused_before_anything_is_measured(
    stage: Stage, tracked: str
) -> None:
    code, printed = evaluated(stage, tracked, "--mlflow-tracking-uri=http://me:pw-4711@host:5000")
    assert code == 2 and "MLFLOW_TRACKING_USERNAME" in printed and "pw-4711" not in printed


def test_a_training_that_sent_nothing_is_said(stage: Stage, base_model: Path, blank_model: Path) -> None:
    rows = village_rows(4)
    make_trained_run(stage.workspace, "untracked", base=base_model, tuned=blank_model, rows=rows)
    code, printed = evaluated(stage, "untracked", "--mlflow-tracking-uri=http://127.0.0.1:9")
    assert code == 0, printed
    assert "the record of train names no run in MLflow" in printed


def test_files_that_the_server_does_not_take_itself_are_named(
    stage: Stage, tracked: str, server: MlflowServer
) -> None:
    server.store = "s3://bucket/mlflow/"
    code, printed = evaluated(
        stage, tracked, f"--mlflow-tracking-uri={server.url}", MLFLOW_TRACKING_TOKEN=TOKEN
    )
    assert code == 0, printed
    assert "files=0" in printed and "the server keeps artifacts at s3://bucket/mlflow/1/" in printed
    assert "eval/holdout_loss_tuned" in server.runs[RUN].figures and not server.runs[RUN].files


def test_a_server_that_drips_is_given_up_in_time(stage: Stage, tracked: str) -> None:
    """With a shorter limit than the stage's, which takes a minute."""
    program = (
        "from osft_eval import trackers; trackers.SECONDS = 1.5\n"
        "import sys; from osft_eval.cli import main; main()"
    )
    with Scripted(lambda asked: drip(b"{")) as server:
        how = stage.command(tracked, *FAST, f"--mlflow-tracking-uri={server.url}")
        python = ROOT / ".venvs/eval/bin/python"
        done = subprocess.run(
            [python, "-c", program, *how["args"][1:]],
            env=how["env"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "the server did not take all within 2 s" in done.stdout
    assert stage.record(tracked)["status"] == "done"


def test_an_image_without_weights_and_biases_says_so(stage: Stage, tracked: str) -> None:
    code, printed = evaluated(stage, tracked, "--wandb-project=ours", WANDB_API_KEY="0" * 40)
    assert code == 0, printed
    assert "figures are not in Weights & Biases" in printed
    assert "the eval image does not contain the package wandb" in printed


def test_where_wandb_is_installed_the_training_s_run_gets_a_summary(
    stage: Stage, tracked: str, tmp_path: Path
) -> None:
    """The real client of the train environment, offline: it writes what it would send."""
    beside = tmp_path / "packages"
    beside.mkdir()
    (site,) = (ROOT / ".venvs/train/lib").glob("python3*/site-packages")
    (own,) = (ROOT / ".venvs/eval/lib").glob("python3*/site-packages")
    for name in NEEDED.split():
        if not (own / name).exists():
            (beside / name).symlink_to(site / name)
    folder = tmp_path / "wandb"
    folder.mkdir()
    code, printed = evaluated(
        stage, tracked, "--wandb-project=ours",
        PYTHONPATH=str(beside), WANDB_API_KEY="0" * 40, WANDB_MODE="offline", WANDB_DIR=str(folder),
    )  # fmt: skip
    assert code == 0, printed
    assert "figures sent to Weights & Biases run=k3v9x1ab" in printed
    (log,) = folder.rglob("run-k3v9x1ab.wandb")
    written = log.read_bytes()
    for name, value in stage.record(tracked)["metrics"].items():
        assert f"eval/{name}".encode() in written and json.dumps(value)[:6].encode() in written
