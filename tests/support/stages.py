"""The smallest valid command line of each stage, on inputs made in seconds."""

import json
import os
import subprocess
from pathlib import Path

from tests.support.model_folders import write_llama
from tests.support.registry import shared_registry
from tests.support.sandbox import executable
from tests.support.trained_run import make_trained_run, perturbed, tiny_model
from tests.support.tuned_run import make_tuned_run


def write_hollow_model(folder: Path) -> Path:
    """Return a whole model of a few kilobytes, whose weights mean nothing."""
    return write_llama(folder)


def download_args(workspace: Path, run_id: str, tmp: Path) -> list[str]:
    """`osft-download` on 20 chat rows and a hollow model below `tmp`."""
    rows = tmp / "rows.jsonl"
    talk = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "Number %d."}]
    rows.write_text("".join(json.dumps({"messages": talk}) % number + "\n" for number in range(20)))
    model = write_hollow_model(tmp / "hollow")
    return [
        executable("download"),
        *("--workspace", str(workspace), "--run-id", run_id),
        *("--uri", str(rows), "--model-uri", str(model)),
    ]


def train_args(workspace: Path, run_id: str, tmp: Path) -> list[str]:
    """`osft-train` for two steps on the CPU, after a real download of the tiny model and 32 rows."""
    tiny = tiny_model()
    where = ("--workspace", str(workspace), "--run-id", run_id)
    source = ("--uri", str(tiny / "train.jsonl"), "--model-uri", str(tiny / "model"))
    download = [executable("download"), *where, *source, "--subset=32", "--train-fraction=1"]
    subprocess.run(download, check=True, env={**os.environ, "HOME": str(tmp)}, stdout=subprocess.DEVNULL)
    return [
        executable("train"),
        *(*where, "--gpus=0", "--effective-batch-size=16", "--learning-rate=1e-3"),
        *("--max-tokens-per-gpu=2048", "--max-seq-len=512", "--no-use-liger"),
    ]


def eval_args(workspace: Path, run_id: str, tmp: Path) -> list[str]:
    """`osft-eval` of the tiny model against a copy with other weights, on few items and rows."""
    tiny = tiny_model()
    tuned = perturbed(tiny / "model", tmp / "tuned", 1.05, only="mlp")
    with (tiny / "holdout.jsonl").open() as file:
        rows = [json.loads(line) for _, line in zip(range(4), file, strict=False)]
    make_trained_run(workspace, run_id, base=tiny / "model", tuned=tuned, rows=rows)
    return [
        executable("eval"),
        *(
            "--workspace",
            str(workspace),
            "--run-id",
            run_id,
            "--gpus=0",
            "--tasks=osft_capitals",
            "--limit=4",
        ),
        *("--holdout-generate=1", "--holdout-max-new-tokens=2"),
    ]


def register_args(workspace: Path, run_id: str, tmp: Path) -> list[str]:
    """`osft-register` on an invented run and the real registry; many files make its provenance long."""
    make_tuned_run(workspace, run_id, shards=100)
    return [
        executable("register"),
        *("--workspace", str(workspace), "--run-id", run_id),
        *("--address", shared_registry().address, "--name", tmp.name, "--claim", "osft-workspace"),
    ]
