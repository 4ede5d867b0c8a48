"""Running lm-eval tasks on one model and keeping what it answered to each item."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

from osft_eval.catalogue import REMEDY
from osft_eval.causes import named
from osft_eval.options import Options
from osft_workspace import UserError, excerpt

SHOWN = 2000
"""Characters of a question or an answer that are kept."""


def prepare(name: str, task: Any, options: Options) -> None:
    """Apply the run's shots, seed and generation arguments to a task, as lm-eval's own command line does.

    Raises:
        UserError: its first prompt cannot be written: too few shots, or a template that fits no item.
    """
    config = task.config
    if config.output_type == "generate_until" and options.generation:
        task.set_config("generation_kwargs", options.generation, update=True)
    if options.num_fewshot is not None and config.num_fewshot != 0:
        task.set_config("num_fewshot", options.num_fewshot)
    elif config.num_fewshot is None:
        task.set_config("num_fewshot", 0)
    shots = int(config.num_fewshot)
    with named(
        f"task {name!r} cannot be asked with {shots} shots",
        "Lower eval.fewshot, or check the task's items and templates (eval.includePath).",
    ):
        first = task.eval_docs[0]
        task.construct_requests(doc=first, ctx=task.fewshot_context(first, num_fewshot=shots))
    task.set_fewshot_seed(options.seed)  # the prompt above has drawn shots


def asks_chat(task: Any) -> bool:
    """Return whether a task's own metadata (`chat: true`) says that its prompts are turns of a chat."""
    return bool((task.config.metadata or {}).get("chat"))


def run_task(lm: Any, name: str, task: Any, options: Options, items: Sequence[int]) -> dict[str, Any]:
    """Evaluate one task.

    Args:
        items: places of those that are asked, in order; not empty.

    Returns:
        `metric`, `filter`, `higher_is_better`, `value` (over all items) and `items`: id, question, choices,
        target, answer, and score (None where the metric has no value for one item).
    """
    import numpy
    import torch
    from lm_eval.evaluator import evaluate

    chat = options.chat_template or asks_chat(task)
    random.seed(options.seed)
    numpy.random.seed(options.seed)
    torch.manual_seed(options.seed)
    with named(f"task {name!r} cannot be evaluated", REMEDY):
        found = evaluate(
            lm,
            {"tasks": {name: task}},
            samples={name: list(items)},
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
        )
        return of_task(name, task, found)


def of_task(name: str, task: Any, found: Any) -> dict[str, Any]:
    """Return what lm-eval's results of one task say; see `run_task`."""
    samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    metric, per_item = main_metric(name, task, samples)
    filters = dict.fromkeys(sample["filter"] for sample in samples)
    wanted = next(iter(filters))
    items = [item_of(task, sample, metric, per_item) for sample in samples if sample["filter"] == wanted]
    total = found["results"][name].get(f"{metric},{wanted}")
    if isinstance(total, bool) or not isinstance(total, SupportsFloat):
        raise UserError(
            f"task {name} makes {excerpt(total)} of its items for {metric}, expected a number. Correct its "
            "aggregation, or leave it out of eval.tasks."
        )
    return {
        "metric": metric,
        "filter": wanted,
        "higher_is_better": bool(task.higher_is_better().get(metric, True)),
        "value": math.fsum(item["score"] for item in items) / len(items) if per_item else float(total),
        "items": items,
    }


def main_metric(name: str, task: Any, samples: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """Return the metric that stands for a task, and whether each item has a value of it.

    A task's metadata may name it (`primary_metric`). Otherwise the first that is a mean over items, because
    only those can be compared item by item; otherwise the first.

    Raises:
        UserError: the task has no metric, or not the one its metadata names.
    """
    known = [metric for metric in task.higher_is_better() if metric in samples[0]]
    if not known:
        raise UserError(
            f"task {name} reports no metric of its own for its items. Leave it out of eval.tasks."
        )
    named = (task.config.metadata or {}).get("primary_metric")
    if named and named not in known:
        raise UserError(f"task {name} names {named!r} as primary_metric and reports {', '.join(known)}.")
    means = [
        metric for metric in known if all(is_mean(task, metric, sample.get(metric)) for sample in samples)
    ]
    chosen = named or (means or known)[0]
    return chosen, chosen in means


def is_mean(task: Any, metric: str, value: Any) -> bool:
    """Whether a metric is the mean of one number for each item; `nanmean` leaves items out by a NaN."""
    aggregation = getattr(task.aggregation().get(metric), "__name__", "")
    number = isinstance(value, bool | int | float)
    return number and (aggregation == "mean" or (aggregation == "nanmean" and not math.isnan(value)))


def item_of(task: Any, sample: Mapping[str, Any], metric: str, per_item: bool) -> dict[str, Any]:
    """Return what one model made of one item, as text that people can read."""
    doc, arguments = sample["doc"], sample["arguments"]
    named = doc.get("id") if isinstance(doc, dict) else None
    item: dict[str, Any] = {
        "id": str(named if named is not None else sample["doc_id"]),
        "score": float(sample[metric]) if per_item else None,
    }
    if task.config.output_type == "multiple_choice":
        lengths = [len(choice) for choice in task.doc_to_choice(doc)]
        return {**item, **choice_of(sample, metric, arguments, lengths)}
    answer = sample["filtered_resps"][0] if sample["filtered_resps"] else ""
    return {
        **item,
        "question": cut(arguments[0][0]),
        "choices": None,
        "target": cut(sample["target"]),
        "answer": cut(answer) if isinstance(answer, str) else None,
    }


def choice_of(
    sample: Mapping[str, Any], metric: str, arguments: Sequence[Sequence[Any]], lengths: Sequence[int]
) -> dict[str, Any]:
    """Question, choices and the choice taken. Where the choices lie in the context, that is what differs.

    Args:
        lengths: characters of each choice, by which `acc_norm` divides.
    """
    if "acc_mutual_info" in sample:  # its second half asks for the choices without the question
        arguments = arguments[: len(arguments) // 2]
    contexts = [str(pair[0]) for pair in arguments]
    endings = [str(pair[1]) for pair in arguments]
    same = len(set(contexts)) == 1
    choices = endings if same else contexts
    scores = [float(answer[0]) for answer in sample["filtered_resps"][: len(choices)]]
    if metric == "acc_norm":
        scores = [score / max(1, length) for score, length in zip(scores, lengths, strict=False)]
    target = sample["target"]
    position = (
        target if isinstance(target, int) else next(iter(target), 0) if isinstance(target, list) else None
    )
    return {
        "question": cut(contexts[0] if same else endings[0]),
        "choices": [cut(choice.strip()) for choice in choices],
        "target": cut(choices[position].strip() if isinstance(position, int) else target),
        "answer": cut(choices[scores.index(max(scores))].strip()),
    }


def cut(text: Any) -> str:
    """Return a text short enough to keep for each of thousands of items."""
    whole = str(text)
    return whole if len(whole) <= SHOWN else whole[:SHOWN] + " …"
