"""What is measured on each model: a part for each task, for the held-out loss, for the generated answers."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from osft_eval import harness, holdout
from osft_eval.backends import opened
from osft_eval.cache import Cache
from osft_eval.catalogue import Catalogue, content_digest
from osft_eval.holdout import Holdout
from osft_eval.mix.halves import Half
from osft_eval.options import Options
from osft_eval.watched import Meter, refuse, watched
from osft_eval.weights import Weights
from osft_workspace import Run, digest_json
from osft_workspace.shapes import NUMBER, TASK_RESULT, TEXT, Shape

LOSS, ANSWERS = "held-out loss", "held-out answers"


@dataclass(frozen=True, slots=True)
class Part:
    """Something to measure on a model."""

    name: str
    content: str
    """Digest of everything in it but the model."""
    size: int
    """Items."""
    shape: Shape
    """Of the result."""
    measure: Callable[[Any], Any]
    generates: bool
    """Whether the model writes something, or only says how likely a text is."""


def parts_of(
    options: Options, catalogue: Catalogue, rows: Holdout | None, half: Half | None = None
) -> list[Part]:
    """Everything that this evaluation measures; with a half, on its items only.

    Args:
        rows: those of the half.
    """
    parts = [
        part
        for name, task in catalogue.tasks.items()
        if (part := task_part(name, task, options, half)) is not None
    ]
    if rows and options.can_score:
        losses = partial(holdout.losses, rows=rows.rows)
        parts.append(Part(LOSS, rows.loss_digest, len(rows.rows), [NUMBER], losses, generates=False))
    if rows and rows.generated:
        greedy = {"until": [], "do_sample": False, "max_gen_toks": options.holdout_max_new_tokens}
        arguments = {**greedy, **options.generation}
        parts.append(
            Part(
                ANSWERS,
                rows.answers_digest,
                len(rows.generated),
                [TEXT],
                lambda lm: holdout.answers(lm, rows.generated, arguments, chat=not options.can_score),
                generates=True,
            )
        )
    return parts


def task_part(name: str, task: Any, options: Options, half: Half | None) -> Part | None:
    """One lm-eval task, or None where the half has no item of it."""
    harness.prepare(name, task, options)
    count = min(len(task.eval_docs), options.limit or len(task.eval_docs))
    items = half.of(name, count) if half else list(range(count))
    content = content_digest(task)
    run = partial(harness.run_task, name=name, task=task, options=options, items=items)
    if half:
        content = digest_json([content, items])
    generates = task.config.output_type == "generate_until"
    return Part(name, content, len(items), TASK_RESULT, run, generates) if items else None


def numbers(result: Any) -> Iterator[float]:
    """Losses of rows, or value and scores of a task; without answers."""
    found = (
        [result["value"], *(item["score"] for item in result["items"])]
        if isinstance(result, dict)
        else result
    )
    return (number for number in found if isinstance(number, float))


def measure(
    run: Run,
    options: Options,
    which: str,
    weights: Weights,
    dtype: str,
    parts: Sequence[Part],
    cache: Cache | None,
) -> dict[str, Any]:
    """Measure every part on one model.

    With a cache, what is kept there is not measured again, and a killed evaluation loses one part at most.

    Raises:
        UserError: a loss or a score is not a finite number.
    """
    results, title = {}, weights.title or which
    if cache:
        results = {part.name: cache.get(part.name, part.content, part.shape, part.size) for part in parts}
    missing = [part for part in parts if results.get(part.name) is None]
    if len(missing) < len(parts):
        kept = f"{len(parts) - len(missing)} of {len(parts)} kept"
        run.choice(f"{title} results", kept, "an earlier evaluation measured them")
    if not missing:
        return results
    if weights.make:
        weights.make()
    for engine in options.engines:
        some = [part for part in missing if options.engine_for(generates=part.generates) == engine]
        if some:
            with opened(run, options, engine, which, weights, dtype) as model:
                ask(run, model, title, some, results, cache)
    return results


def ask(
    run: Run, model: Any, title: str, parts: Sequence[Part], results: dict[str, Any], cache: Cache | None
) -> None:
    """Measure parts on a model that is loaded, into `results`. Raises UserError as `measure`."""
    total = sum(part.size for part in parts)
    with run.progress(f"measuring {title}", total=total, unit="items") as bar:
        meter = Meter(bar, title)
        lm = watched(model, meter)
        for part in parts:
            meter.start(part.name, part.size)
            results[part.name] = part.measure(lm)
            refuse(title, part.name, (n for n in numbers(results[part.name]) if not math.isfinite(n)))
            if cache:
                cache.put(part.name, part.content, results[part.name])
