"""Code that comes with a model does not run in training, in stage or worker, unless it is trusted."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from osft_workspace.digests import tree_digest
from tests.stages.train.conftest import Stage
from tests.support.model_code import plant, village_model
from tests.support.model_folders import write_json
from tests.support.sandbox import executable, stage_env
from tests.support.tiny_model import chat_rows, write_jsonl
from tests.support.trained_run import tiny_model

ARGS = ("--effective-batch-size=8", "--num-epochs=1")
PYTHON = str(Path(executable("train")).with_name("python"))


def download(stage: Stage, run_id: str, model: Path, *more: str) -> None:
    """Download a model with options of the command line."""
    data = write_jsonl(stage.scratch / f"{run_id}.jsonl", chat_rows(16))
    where = ("--workspace", str(stage.workspace), "--run-id", run_id)
    source = ("--uri", str(data), "--model-uri", str(model), "--train-fraction=1")
    subprocess.run(
        [executable("download"), *where, *source, *more],
        check=True,
        env=stage_env(stage.workspace, stage.scratch),
        stdout=subprocess.DEVNULL,
    )


def replaced(stage: Stage, run_id: str, make: str, mark: Path) -> None:
    """Put code into the base of a finished download, as a cache of an older version may hold it."""
    record = stage.workspace / "runs" / run_id / "download" / "record.json"
    value = json.loads(record.read_text())
    cached = stage.workspace / value["details"]["model"]["path"]
    coded = cached.with_name(f"coded-{run_id}")
    shutil.copytree(cached, coded)
    (village_model if make == "village" else plant)(coded, mark)
    path = coded.relative_to(stage.workspace).as_posix()
    value["details"]["model"]["path"] = path
    value["shared"][path] = tree_digest(coded)
    write_json(record, value)


def test_code_in_the_cache_runs_in_neither_stage_nor_worker(stage: Stage, tmp_path: Path) -> None:
    """mini-trainer asks for trust_remote_code=True by itself, in both."""
    stage.download("coded", chat_rows(16))
    replaced(stage, "coded", "known", tmp_path / "mark")
    code, printed = stage.run("coded", *ARGS)
    assert not (tmp_path / "mark").exists()
    assert code == 0, printed


def test_a_type_that_needs_code_is_rejected_before_training(stage: Stage, tmp_path: Path) -> None:
    stage.download("needs", chat_rows(16))
    replaced(stage, "needs", "village", tmp_path / "mark")
    code, printed = stage.run("needs", *ARGS)
    assert code == 2, printed
    assert "asks for Python code that comes with the model, and model.trustRemoteCode is false" in printed
    assert not (tmp_path / "mark").exists()


def test_a_trusted_model_of_its_own_type_is_tuned_and_the_record_says_so(
    stage: Stage, tmp_path: Path
) -> None:
    model = tmp_path / "village"
    shutil.copytree(tiny_model() / "model", model)
    village_model(model, tmp_path / "mark")
    download(stage, "village", model, "--trust-remote-code")
    code, printed = stage.run("village", *ARGS, "--trust-remote-code")
    assert code == 0, printed
    processes = {line.split()[1] for line in (tmp_path / "mark").read_text().splitlines()}
    assert len(processes) > 1, "the stage and its worker"
    assert stage.record("village")["details"]["base"]["trust_remote_code"] is True
    tuned = stage.dir("village") / "model"
    assert (tuned / "village.py").read_bytes() == (model / "village.py").read_bytes()
    assert (
        json.loads((tuned / "config.json").read_text())["auto_map"]["AutoConfig"] == "village.VillageConfig"
    )


STARTS = {
    "child": "import subprocess, sys; subprocess.run([sys.executable, '-c', {load!r}])",
    "spawned": "import torch.multiprocessing as m\n"
    "p = m.get_context('spawn').Process(target=exec, args=({load!r},)); p.start(); p.join()",
    "imported before": "import mini_trainer.utils\ntrust.enforce(trusted=False)\n{load}",
}
ASKS = {
    "config": "from transformers import AutoConfig\n"
    "AutoConfig.from_pretrained({model!r}, trust_remote_code=True)",
    "mini-trainer": "from mini_trainer.utils import get_model_class_from_config as g; g({model!r})",
    "kernel": "from transformers.integrations import hub_kernels\n"
    "hub_kernels.load_and_register_attn_kernel('org/kernel')",
}


@pytest.mark.parametrize("asks", list(ASKS))
@pytest.mark.parametrize("start", list(STARTS))
def test_no_process_of_a_stage_loads_code_whatever_a_library_passes(
    tmp_path: Path, start: str, asks: str
) -> None:
    mark, model = tmp_path / "mark", tmp_path / "model"
    shutil.copytree(tiny_model() / "model", model)
    village_model(model, mark)
    load = ASKS[asks].format(model=str(model))
    code = "from osft_workspace import trust; trust.enforce(trusted=False)\n" + STARTS[start].format(
        load=load
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [PYTHON, "-c", code], env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert "and model.trustRemoteCode is false" in done.stderr, done.stderr
    assert not mark.exists()
