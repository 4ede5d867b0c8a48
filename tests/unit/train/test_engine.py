"""The launcher between training_hub and the worker."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from osft_train.arguments import Call
from osft_train.devices import Device
from osft_train.engine import Job, check_protected, reason
from osft_train.worker.launch import FORK
from osft_workspace import Transient, UserError
from osft_workspace.exits import StageError
from tests.unit.train.support import some_run

CPU = Device("cpu", 1, "float32", "sdpa", liger=False, keep_activations=True)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        run=some_run(tmp_path),
        function=lambda: None,
        call=Call({}, {"beta1": 0.8, "weight_decay": 0.1}),
        device=CPU,
        checkpoints=tmp_path,
        log=tmp_path / "train.log",
        total=10,
        done=0,
        matrices=14,
        factors=None,
        checkpoint_seconds=0,
    )


def test_our_worker_takes_the_place_of_theirs_and_gets_what_they_forget(job: Job) -> None:
    theirs = ["torchrun", "--nnodes=1", "--standalone", "/lib/mini_trainer/train.py", "--seed=42"]
    torchrun = ["--signals-to-handle=SIGHUP", "--nnodes=1", "--standalone"]
    rest = ["--seed=42", "--beta1=0.8", "--weight-decay=0.1"]
    assert job.command(theirs) == [*torchrun, *FORK, *rest]
    job.device = replace(CPU, name="cuda")
    assert job.command(theirs) == [*torchrun, "-m", "osft_train.worker", *rest]


def test_fewer_decomposed_matrices_than_expected_end_the_worker(job: Job) -> None:
    job.said.read("   • Total parameters: 14\n")
    assert job.verdict is None
    job.said.read("   • Total parameters: 6\n")
    assert job.verdict is not None
    assert "decomposed 6 weight matrices, expected 14" in job.verdict.message


def test_protection_that_the_log_never_confirmed_is_not_trusted(job: Job) -> None:
    with pytest.raises(StageError, match="does not say that it decomposed 14 weight matrices"):
        check_protected(job)
    job.said.read("   • Total parameters: 14\n")
    check_protected(job)


def test_the_reason_is_ours_then_the_arguments_then_the_logs(job: Job) -> None:
    assert isinstance(reason(job, ImportError("no s3fs")), UserError)
    assert isinstance(reason(job, ValueError("odd")), UserError)
    bug = RuntimeError("odd")
    assert reason(job, bug) is bug
    job.end_with(Transient("SIGTERM received"))
    assert reason(job, bug) is job.verdict


def test_milestones_are_reported_once(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        job.said.read("Reconstructing OSFT weights, this may take a while...:  10%\n")
    job.said.read('{"full_state": 7, "seconds": 1.5}\n')
    printed = capsys.readouterr().out
    assert printed.count("assembling the model") == 1
    assert "train full state saved step=7 seconds=1.5" in printed


def test_decompositions_are_counted_and_what_is_wrong_with_one_is_said(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    for how in ("kept", "made", "kept"):
        job.said.read(f'{{"decomposition": "{how}", "shape": "4x4", "seconds": 0.1}}\n')
    job.said.read('{"decomposition": "damaged", "file": "a.safetensors", "because": "it is short"}\n')
    job.said.read("Distributing computed SVD data\n")
    printed = capsys.readouterr().out
    assert 'train decomposition damaged file=a.safetensors because="it is short"' in printed
    assert "train decomposed from_cache=2 computed=1" in printed


def test_without_a_gpu_asked_for_none_is_seen() -> None:
    code = (
        "from osft_train import devices, options; devices.prepare_process(options.Options(gpus={gpus}));"
        "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    )
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "0"}
    for gpus, seen in ((0, ""), (1, "0")):
        command = [sys.executable, "-c", code.format(gpus=gpus)]
        assert subprocess.check_output(command, env=env, text=True) == f"{seen}\n"


def test_a_worker_on_the_cpu_shares_its_cores_as_the_user_says(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (job.env()["TESTING"], job.env()["OMP_NUM_THREADS"]) == ("true", "3")
