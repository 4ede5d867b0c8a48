"""A run that is ready to be registered: download, train and eval with real records over invented figures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_workspace import Outcome, Refused, Run, digest_json, run_stage, tree_digest, write_atomic

ARGUMENTS = {
    "unfreeze_rank_ratio": 0.25,
    "effective_batch_size": 16,
    "learning_rate": 5e-5,
    "num_epochs": 1,
    "seed": 42,
    "use_liger": False,
    "target_patterns": None,
    "data_path": "/workspace/runs/r/download/train.jsonl",
}
METRICS = {"final_loss": 2.31, "steps": 126, "tokens": 12_345_678_901, "training_seconds": 301.5}
TASKS: dict[str, dict[str, Any]] = {
    "osft_capitals": {
        "title": "World capitals", "metric": "acc", "higher_is_better": True, "n": 161, "base": 0.826,
        "tuned": 0.814, "delta": -0.012, "gained": 5, "lost": 7, "p_value": 0.77, "interval": [-0.05, 0.02],
        "test": "mcnemar exact", "kind": "retention",
    },
    "odd|name": {
        "title": "Odd | name", "metric": "acc", "n": 3, "base": 1.0, "tuned": 1.0, "delta": 0.0,
        "p_value": float("nan"),
    },
}  # fmt: skip


def eval_results(run_id: str) -> dict[str, Any]:
    """results.json as eval writes it."""
    return {
        "schema": "osft-pipeline/eval-results/v1",
        "run_id": run_id,
        "tasks": TASKS,
        "holdout": {
            "n": 200,
            "tokens": 18_200,
            "loss": {"base": 3.84, "tuned": 2.69},
            "perplexity": {"base": 46.5, "tuned": 14.7},
            "interval": [-1.3, -1.0],
            "generated": 50,
            "rouge_l": {"base": 0.1, "tuned": 0.3},
        },
        "gates": {"passed": True, "rules": {"maxTaskDrop": 3}, "failures": []},
        "skipped": [{"what": "generated answers of 150 rows", "reason": "eval.holdout.generate is 50"}],
        "engine": {"backend": "hf"},
    }


def make_tuned_run(
    workspace: Path,
    run_id: str,
    *,
    with_eval: bool = True,
    refused: bool = False,
    shards: int = 2,
    weights: bytes = b"weights",
    metrics: Mapping[str, float] = METRICS,
) -> Path:
    """Leave finished predecessors of register in `workspace`; returns the run's folder.

    Args:
        refused: eval's gate says no.
        shards: number of weight files, so that provenance can be made long.
        weights: their content; other content is another result.
    """
    workspace.mkdir(parents=True, exist_ok=True)

    def download(run: Run) -> Outcome:
        write_atomic(run.dir / "train.jsonl", '{"messages": []}\n')
        write_atomic(run.dir / "eval.jsonl", '{"messages": [1]}\n')
        write_atomic(run.dir / "rejected.jsonl", "")
        model = {
            "uri": "hf://HuggingFaceTB/SmolLM2-135M-Instruct",
            "revision": "12fd25f77366fa6b3b4b768ec3050bf629380bac",
            "path": "cache/models/0f",
            "digest": digest_json("base"),
            "license": "apache-2.0",
        }
        source = {"uri": "hf://org/chat:en", "revision": "abc123", "files": 1, "rows": 2000}
        details = {
            "rows": {"read": 2000, "train": 1800, "eval": 200},
            "sources": [source],
            "model": model,
            "seed": 42,
        }
        return Outcome(outputs=["train.jsonl", "eval.jsonl", "rejected.jsonl"], details=details)

    def train(run: Run) -> Outcome:
        for number in range(1, shards + 1):
            name = f"model/model-{number:05}-of-{shards:05}.safetensors"
            write_atomic(run.dir / name, weights + bytes([number % 256]))
        write_atomic(run.dir / "model" / "config.json", '{"model_type": "llama"}')
        model = {"path": "train/model", "digest": tree_digest(run.dir / "model")}
        details = {
            "model": model,
            "base": run.predecessors["download"].details["model"],
            "arguments": ARGUMENTS,
        }
        return Outcome(outputs=["model"], metrics=metrics, details=details, versions={"torch": "2.13.0"})

    def judge(run: Run) -> Outcome:
        write_atomic(run.dir / "results.json", json.dumps(eval_results(run_id)))
        model = run.predecessors["train"].details["model"]
        details = {"model": model, "primary_metric": "holdout_loss"}
        if refused:
            return Outcome(
                outputs=["results.json"],
                details=details,
                status="refused",
                message="capitals fell by 9 points",
            )
        return Outcome(outputs=["results.json"], details=details)

    run_stage("download", workspace, run_id, inputs={}, needs=(), body=download)
    run_stage("train", workspace, run_id, inputs={}, needs=("download",), body=train)
    if with_eval:
        try:
            run_stage("eval", workspace, run_id, inputs={}, needs=("train",), body=judge)
        except Refused:
            assert refused
    return workspace / "runs" / run_id
