"""Runs the stages' own commands, one training and its evaluations at a time."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_forgetting.data import ROOT, folder_of
from osft_forgetting.grid import TASKS, Chain, Training

GIB, RETENTION = 2**30, "osft_retention"
HELD_OUT = 100
"""Rows whose loss is measured; those that are trained on never are."""


def stage(name: str, workspace: Path, run_id: str, *words: str) -> dict[str, Any]:
    """Run a stage to its end and return its record; exits with its log where it fails."""
    command = [
        ROOT / ".venvs" / name / "bin" / f"osft-{name}",
        f"--workspace={workspace}",
        f"--run-id={run_id}",
    ]
    done = subprocess.run([*map(str, command), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nosft-{name} ended with exit code {done.returncode}.")
    record: dict[str, Any] = json.loads((workspace / "runs" / run_id / name / "record.json").read_text())
    return record


def tune(training: Training, workspace: Path, run_id: str, base: str) -> dict[str, Any]:
    """Bring rows and base model, and train; return the record of training.

    Args:
        base: the option of download that names the base model.
    """
    folder = folder_of(training.data)
    stage(
        *("download", workspace, run_id, f"--uri={folder / 'train.jsonl'}", base, "--max-seq-len=512"),
        *(f"--eval-uri={folder / 'holdout.jsonl'}", f"--subset={training.rows}", f"--seed={training.seed}"),
    )
    return stage(
        *("train", workspace, run_id, f"--method={training.method}", "--gpus=0"),
        *(f"--learning-rate={training.learning_rate}", f"--warmup-steps={training.warmup}"),
        *(f"--num-epochs={training.epochs}", f"--effective-batch-size={training.batch}"),
        *(f"--seed={training.seed}", "--max-tokens-per-gpu=512", "--max-seq-len=512"),
        *("--eval-every=0", "--checkpoint-minutes=0"),
    )


def measure(training: Training, model: Path, workspace: Path) -> dict[str, Any]:
    """Train, evaluate the tuned model, then look for the mix; return the line of the results."""
    trained = tune(training, workspace, training.name, f"--model-uri={model}")
    tuned = evaluated(workspace, training.name)
    mixed = evaluated(workspace, training.name, "--mix-mode=auto")
    return {
        **training.key(),
        "steps": trained["metrics"]["steps"],
        "seconds": round(trained["timings"]["seconds"]),
        "memory_gib": round(trained["timings"]["peak_memory_bytes"] / GIB, 2),
        "tuned": figures(tuned),
        "mix": {**figures(mixed), "share": mixed["mix"]["share"], "shares": mixed["mix"]["shares"]},
    }


def measure_chain(chain: Chain, model: Path, workspace: Path) -> dict[str, Any]:
    """Train and evaluate one task after the other; return the line of the results."""
    base, results = f"--model-uri={model}", {}
    for number, training in enumerate(chain.trainings(), 1):
        run_id = f"{chain.name}-{number}"
        tune(training, workspace, run_id, base)
        results = evaluated(workspace, run_id, f"--mix-mode={chain.mix}")
        base = f"--from-run={run_id}"
    found = results["chain"]
    kept = found["first"]["groups"][RETENTION]
    return {
        **chain.key(),
        "tasks": list(TASKS),
        **{name: found[name] for name in ("matrix", "average_loss", "backward_transfer")},
        "kept": [kept["base"], kept["tuned"]],
        "items": kept["n"],
    }


def evaluated(workspace: Path, run_id: str, *words: str) -> dict[str, Any]:
    """Evaluate a tuned model and return its results."""
    own = ("--gpus=0", f"--holdout-limit={HELD_OUT}", "--holdout-generate=0", *words)
    stage("eval", workspace, run_id, *own)
    results: dict[str, Any] = json.loads((workspace / "runs" / run_id / "eval" / "results.json").read_text())
    return results


def figures(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one evaluation says of learning, in nats per token, and of keeping, as shares."""
    loss, kept = results["holdout"]["loss"], results["groups"][RETENTION]
    return {
        "loss": [loss["base"], loss["tuned"]],
        "rows": results["holdout"]["n"],
        "kept": [kept["base"], kept["tuned"]],
        "items": kept["n"],
        "p_value": kept["p_value"],
    }
