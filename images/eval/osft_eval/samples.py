"""Every item with both models' answers, one line each: what the figures were made of."""

from collections.abc import Iterator, Mapping
from typing import Any

from osft_eval.holdout import Holdout
from osft_eval.parts import ANSWERS, LOSS
from osft_workspace.text import json_text


def task_samples(base: Mapping[str, Any], tuned: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Items of one task."""
    for was, now in zip(base["items"], tuned["items"], strict=True):
        shared = {key: now[key] for key in ("id", "question", "choices", "target")}
        yield {**shared, "base": side(was), "tuned": side(now)}


def side(item: Mapping[str, Any]) -> dict[str, Any]:
    """One model's answer; `correct` where the score is right or wrong."""
    score = item["score"]
    correct = {"correct": bool(score)} if score in (0.0, 1.0) else {}
    return {"answer": item["answer"], "score": score, **correct}


def holdout_samples(
    rows: Holdout, base: Mapping[str, Any], tuned: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Held-out rows, with the loss per token of both models and, for some, their answers."""
    answered = {row.number: place for place, row in enumerate(rows.generated)}
    for place, row in enumerate(rows.rows):
        yield {
            "id": row.number,
            "messages": row.messages,
            "target": row.reference,
            "tokens": row.tokens,
            **{
                which: {
                    "loss": results[LOSS][place] / row.tokens if LOSS in results else None,
                    "answer": results[ANSWERS][answered[row.number]] if row.number in answered else None,
                }
                for which, results in (("base", base), ("tuned", tuned))
            },
        }


def lines(samples: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> str:
    """JSON lines."""
    return "".join(json_text(sample) + "\n" for sample in samples)
