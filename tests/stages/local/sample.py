"""A finished run, written by hand: what the last screen reads, in the contracted shape."""

import json
from pathlib import Path
from typing import Any

RUN = "demo-1a2b3c4d"
URL = "http://127.0.0.1:8081/api/model_registry/v1alpha3/model_versions/2"


def record(stage: str, seconds: float, memory: float, message: str, **more: Any) -> dict[str, Any]:
    """A record; `memory` in GiB."""
    return {
        "schema": "osft-pipeline/record/v1",
        "stage": stage,
        "status": "done",
        "run_id": RUN,
        "message": message,
        "outputs": [],
        "details": {},
        "timings": {"seconds": seconds, "peak_memory_bytes": int(memory * 2**30)},
        **more,
    }


def task(title: str, n: int, base: int, gained: int, lost: int, p: float, verdict: str) -> dict[str, Any]:
    """A retention task; `base` items right before training."""
    tuned = base + gained - lost
    return {
        "title": title,
        "metric": "acc",
        "higher_is_better": True,
        "n": n,
        "base": base / n,
        "tuned": tuned / n,
        "delta": (tuned - base) / n,
        "gained": gained,
        "lost": lost,
        "p_value": p,
        "test": "mcnemar exact",
        "kind": "retention",
        "verdict": verdict,
    }


def results() -> dict[str, Any]:
    """eval/results.json of that run."""
    group = task("Kept knowledge", 357, 304, 6, 18, 0.0227, "worse")
    return {
        "schema": "osft-pipeline/eval-results/v1",
        "groups": {"osft_retention": {**group, "tasks": ["osft_capitals", "osft_elements", "osft_verbs"]}},
        "run_id": RUN,
        "tasks": {
            "osft_capitals": task("World capitals", 161, 133, 5, 7, 0.774, "unchanged"),
            "osft_elements": task("Chemical symbols", 103, 80, 1, 11, 0.0063, "worse"),
            "osft_verbs": task("Irregular verbs", 93, 91, 0, 0, 1.0, "unchanged"),
        },
        "holdout": {
            "n": 200,
            "tokens": 5120,
            "loss": {"base": 3.8372, "tuned": 2.6931},
            "perplexity": {"base": 46.39, "tuned": 14.78},
            "interval": [-1.21, -1.08],
            "generated": 50,
            "bleu": {"base": 0.021, "tuned": 0.087},
            "rouge_l": {"base": 0.142, "tuned": 0.231},
        },
        "gates": {"passed": True, "rules": {}, "failures": []},
        "skipped": [{"what": "vllm", "reason": "eval.gpus is 0"}],
    }


def write_run(workspace: Path) -> Path:
    """Write the run below `workspace`; returns its folder."""
    run = workspace / "runs" / RUN
    row = {
        "messages": [
            {"role": "user", "content": "What does Python's textwrap.dedent do?"},
            {
                "role": "assistant",
                "content": "Remove any common leading whitespace from every line in `text`.",
            },
        ]
    }
    records = [
        record("download", 3.2, 0.11, "2000 rows to train on, 200 held out"),
        record(
            "train",
            218.4,
            2.31,
            "20 steps on 320 rows, loss 2.69",
            details={"model": {"path": "train/model"}},
        ),
        record(
            "eval", 74.0, 1.92, "held-out loss 3.837 -> 2.693", details={"model": {"path": "train/model"}}
        ),
        record("register", 1.1, 0.06, "osft-demo version demo-1a2b3c4d", details={"url": URL}),
    ]
    for one in records:
        folder = run / str(one["stage"])
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(one))
    (run / "download" / "eval.jsonl").write_text(json.dumps(row) + "\n")
    (run / "eval" / "results.json").write_text(json.dumps(results()))
    return run
