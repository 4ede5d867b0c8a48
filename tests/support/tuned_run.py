"""A run that is ready to be registered: download, train and eval with real records over invented figures."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_workspace import Outcome, Refused, Run, digest_json, run_stage, tree_digest, write_atomic
from osft_workspace.contents import RESULTS_SCHEMA
from tests.support.eval_results import Task, eval_results

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
METRICS = {
    "final_loss": 2.31, "steps": 126, "tokens": 12_345_678_901, "training_seconds": 301.5,
    "planned_memory_bytes": 3 << 29, "peak_memory_bytes": 11 << 27,
    "rows": 1752, "rows_validation": 0, "rows_dropped_short": 46, "rows_dropped_long": 2,
    "rows_dropped_silent": 0,
}  # fmt: skip
TASKS = {
    "osft_capitals": Task("World capitals", 149, 122, 2, 8),
    "osft_currencies": Task("Currencies of countries", 90, 49, 1, 5),
    "osft_elements": Task("Symbols of chemical elements", 103, 93, 1, 3),
    "osft_opposites": Task("Opposites", 107, 98, 0, 2),
    "osft_verbs": Task("Forms of irregular verbs", 139, 125, 0, 5),
    "osft_grammar": Task("Agreement in English", 136, 113, 3, 1),
}
"""As in a demo: no task falls for sure, all of them together do."""
RULES = {"maxTaskDrop": 6}
HOLDOUT = {
    "n": 200,
    "tokens": 18_200,
    "loss": {"base": 3.84, "tuned": 2.69},
    "perplexity": {"base": 46.5, "tuned": 14.7},
    "delta": -1.15,
    "interval": [-1.3, -1.0],
    "p_value": 0.0,
    "test": "paired t over rows",
    "generated": 50,
    "rouge_l": {"base": 0.1, "tuned": 0.3},
}
ODD = {
    "title": "Odd | name", "kind": "benchmark", "metric": "acc", "higher_is_better": True, "n": 3,
    "base": 1.0, "tuned": 1.0, "delta": 0.0, "gained": None, "lost": None, "p_value": None, "interval": None,
    "points": None, "verdict": "untested",
}  # fmt: skip


def tuned_results(
    run_id: str,
    rules: Mapping[str, Any] = RULES,
    tasks: Mapping[str, Task] = TASKS,
    schema: str = RESULTS_SCHEMA,
) -> dict[str, Any]:
    """results.json of that run; one figure in it is not a number."""
    reason = "eval.holdout.generate is 50"
    skipped = [{"what": "generated answers of 150 rows", "reason": reason}]
    found = eval_results(run_id, tasks, HOLDOUT, rules, skipped=skipped, also={"odd|name": ODD})
    found["tasks"]["odd|name"] = {**ODD, "p_value": math.nan}
    if schema != RESULTS_SCHEMA:
        del found["summary"]
    return {**found, "schema": schema}


def make_tuned_run(
    workspace: Path,
    run_id: str,
    *,
    with_eval: bool = True,
    refused: bool = False,
    shards: int = 2,
    weights: bytes = b"weights",
    metrics: Mapping[str, float] = METRICS,
    trusted: bool = False,
    rules: Mapping[str, Any] = RULES,
    tasks: Mapping[str, Task] = TASKS,
    schema: str = RESULTS_SCHEMA,
    adapter: Mapping[str, Any] | None = None,
    chain: Mapping[str, Any] | None = None,
) -> Path:
    """Leave finished predecessors of register in `workspace`; returns the run's folder.

    Args:
        refused: eval's gate says no.
        shards: number of weight files, so that provenance can be made long.
        weights: their content; other content is another result.
        trusted: code of the base model was allowed to run.
        rules: eval.gates.
        tasks: what both models answered.
        schema: of results.json; those of an older one have no summary.
        adapter: settings of the adapter that is the result in place of a model.
        chain: the runs before this one.
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
            "trust_remote_code": trusted,
        }
        source = {"uri": "hf://org/chat:en", "revision": "abc123", "files": 1, "rows": 2000}
        details = {
            # Training took two rows less, which were too long for it.
            "rows": {
                "read": 2010, "train": 1754, "eval": 200, "unused": 0, "rejected": 10,
                "dropped_short": 46, "dropped_long": 0, "dropped_silent": 0, "dropped_overlap": 0,
            },
            "tokens": {"tokenizer": {"end_of_turn": "<|im_end|>"}},
            "sources": [source],
            "model": model,
            "seed": 42,
            **({"chain": chain} if chain else {}),
        }  # fmt: skip
        return Outcome(outputs=["train.jsonl", "eval.jsonl", "rejected.jsonl"], details=details)

    def train(run: Run) -> Outcome:
        for number in range(1, shards + 1):
            name = f"model/model-{number:05}-of-{shards:05}.safetensors"
            write_atomic(run.dir / name, weights + bytes([number % 256]))
        write_atomic(run.dir / "model" / "config.json", '{"model_type": "llama"}')
        base = run.predecessors["download"].details["model"]
        details: dict[str, Any] = {
            "model": {"path": "train/model", "digest": tree_digest(run.dir / "model")},
            "base": base,
            "arguments": ARGUMENTS,
            "estimate": {"steps": 126, "seconds": 240.0},
        }
        if adapter:
            (run.dir / "model").rename(run.dir / "adapter")
            left = {"path": "train/adapter", "digest": tree_digest(run.dir / "adapter")}
            details |= {
                "method": "lora",
                "model": {**left, "base": base["path"]},
                "adapter": {**left, **adapter},
            }
        outputs = ["adapter" if adapter else "model"]
        return Outcome(outputs=outputs, metrics=metrics, details=details, versions={"torch": "2.13.0"})

    def judge(run: Run) -> Outcome:
        write_atomic(run.dir / "results.json", json.dumps(tuned_results(run_id, rules, tasks, schema)))
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
