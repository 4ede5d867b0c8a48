"""Evaluated runs to compare: real records over invented losses and answers, and evaluation's own figures."""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from osft_eval import compare
from osft_workspace import Outcome, Refused, Run, digest_json, run_stage, tree_digest, write_atomic
from tests.support.eval_results import Task, eval_results, sides

TASKS = {
    "osft_capitals": Task("World capitals", 120, 100, 2, 4),
    "osft_verbs": Task("Forms of irregular verbs", 90, 80, 1, 3),
}
ROWS = 40
TOKENS = 12
BASE_LOSS = 4.0
STEPS = 8


def make_run(
    workspace: Path,
    name: str,
    *,
    fall: float = 1.0,
    tasks: Mapping[str, Task] = TASKS,
    rules: Mapping[str, Any] | None = None,
    base: str = "base",
    rows: str = "rows",
    samples: bool = True,
    evaluated: bool = True,
    share: float | None = None,
    **inputs: Any,
) -> Path:
    """Leave a run in `workspace`; return its folder.

    Args:
        fall: of the held-out loss, in nats per token.
        rules: eval.gates.
        base, rows: stand for the base model and the rows; others are other ones.
        samples: eval.logSamples.
        share: of the mix that goes on.
        inputs: of training.
    """
    workspace.mkdir(parents=True, exist_ok=True)

    def download(run: Run) -> Outcome:
        for part in ("train", "eval"):
            write_atomic(run.dir / f"{part}.jsonl", json.dumps([part, rows]) + "\n")
        model = {"uri": f"hf://org/{base}", "path": f"cache/models/{base}", "digest": digest_json(base)}
        return Outcome(outputs=["train.jsonl", "eval.jsonl"], details={"model": model})

    def train(run: Run) -> Outcome:
        write_atomic(run.dir / "model" / "config.json", "{}")
        write_atomic(run.dir / "metrics.jsonl", "".join(json.dumps(step) + "\n" for step in curve(fall)))
        left = {"path": "train/model", "digest": tree_digest(run.dir / "model")}
        details = {"method": "osft", "model": left}
        return Outcome(outputs=["model", "metrics.jsonl"], details=details)

    def judge(run: Run) -> Outcome:
        tokens, before, after = losses(fall)
        holdout = {**compare.compare_holdout(tokens, before, after), "generated": 0}
        found = eval_results(name, tasks, holdout, rules or {})
        if share is not None:
            found["mix"] = {"mode": "fixed", "share": share}
        write_atomic(run.dir / "results.json", json.dumps(found))
        for task in tasks if samples else ():
            write_lines(run.dir / "samples" / f"{task}.jsonl", answers(task, tasks[task]))
        if samples:
            write_lines(run.dir / "samples" / "holdout.jsonl", held_out(rows, fall))
        passed = found["gates"]["passed"]
        return Outcome(
            outputs=["results.json", *(["samples"] if samples else [])],
            details={"model": run.predecessors["train"].details["model"]},
            status="done" if passed else "refused",
            message="" if passed else "a task fell",
        )

    run_stage("download", workspace, name, inputs={"uri": [f"hf://org/{rows}"]}, needs=(), body=download)
    run_stage("train", workspace, name, inputs=inputs, needs=("download",), body=train)
    if evaluated:
        try:
            run_stage("eval", workspace, name, inputs={"seed": 42}, needs=("train",), body=judge)
        except Refused:
            assert rules
    return workspace / "runs" / name


def curve(fall: float) -> Iterator[dict[str, Any]]:
    """Yield steps of training; the held-out loss stands in every second one."""
    for step in range(1, STEPS + 1):
        loss = BASE_LOSS - fall * step / STEPS
        line = {"step": step, "loss": loss, "rows": 16.0}
        yield {**line, "validation_loss": loss - 0.1} if step % 2 == 0 else line


def losses(fall: float) -> tuple[list[int], list[float], list[float]]:
    """Return tokens of each row, and its summed loss under both models; noise is that of the row and run."""
    noise = random.Random(f"{fall}")
    before = [TOKENS * (BASE_LOSS + 0.01 * row) for row in range(ROWS)]
    return [TOKENS] * ROWS, before, [loss - TOKENS * (fall + noise.uniform(-0.2, 0.2)) for loss in before]


def answers(name: str, task: Task) -> Iterator[dict[str, Any]]:
    """Yield a task's items as evaluation keeps them."""
    base, tuned = sides(task)
    for old, new in zip(base["items"], tuned["items"], strict=True):
        scores = {
            which: {"answer": "", "score": one["score"]} for which, one in (("base", old), ("tuned", new))
        }
        yield {"id": old["id"], "question": f"{name} {old['id']}", "choices": [], "target": "", **scores}


def held_out(rows: str, fall: float) -> Iterator[dict[str, Any]]:
    """Yield the held-out rows as evaluation keeps them."""
    for number, (tokens, before, after) in enumerate(zip(*losses(fall), strict=True)):
        both = {"base": {"loss": before / tokens}, "tuned": {"loss": after / tokens}}
        yield {"id": number, "messages": [rows], "target": "", "tokens": tokens, **both}


def write_lines(path: Path, samples: Iterator[dict[str, Any]]) -> None:
    """Write JSON lines."""
    write_atomic(path, "".join(json.dumps(sample) + "\n" for sample in samples))
