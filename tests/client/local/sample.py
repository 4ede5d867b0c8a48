"""A finished run, written by hand: what the last screen reads, in the contracted shape."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osft_eval.report.summary import message
from tests.support.eval_results import Task, eval_results

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


TASKS = {
    "osft_capitals": Task("World capitals", 161, 133, 5, 7),
    "osft_elements": Task("Chemical symbols", 103, 80, 1, 11),
    "osft_verbs": Task("Irregular verbs", 93, 91, 0, 0),
}
HOLDOUT = {
    "n": 200,
    "tokens": 5120,
    "loss": {"base": 3.8372, "tuned": 2.6931},
    "perplexity": {"base": 46.39, "tuned": 14.78},
    "delta": -1.1441,
    "interval": [-1.21, -1.08],
    "p_value": 0.0,
    "test": "paired t over rows",
    "generated": 50,
    "bleu": {"base": 0.021, "tuned": 0.087},
    "rouge_l": {"base": 0.142, "tuned": 0.231},
}


def results(rules: Mapping[str, Any] | None = None, **changed: Task) -> dict[str, Any]:
    """eval/results.json of that run; `changed` replaces tasks."""
    return eval_results(
        RUN,
        {**TASKS, **changed},
        HOLDOUT,
        {"maxTaskDrop": 10} if rules is None else rules,
        suite=("osft_retention", "Kept knowledge"),
        skipped=[{"what": "vllm", "reason": "eval.gpus is 0"}],
    )


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
        record("eval", 74.0, 1.92, message(results()), details={"model": {"path": "train/model"}}),
        record("register", 1.1, 0.06, "osft-demo version demo-1a2b3c4d", details={"url": URL}),
    ]
    for one in records:
        folder = run / str(one["stage"])
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(one))
    (run / "download" / "eval.jsonl").write_text(json.dumps(row) + "\n")
    (run / "eval" / "results.json").write_text(json.dumps(results()))
    return run
