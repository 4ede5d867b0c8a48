"""`osft-eval --check`: everything that can be known to be wrong before training, said at once.

It asks no hub, loads no model and looks at no run. It reads what evaluation reads, by the same functions.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from osft_eval import backends, gates
from osft_eval.catalogue import OFF, HubIsOff, find, is_off, load, open_manager, outline_of
from osft_eval.harness import prepare
from osft_eval.options import Options
from osft_eval.outline import Outline
from osft_eval.problems import option_problems, refuse
from osft_eval.wanted import measured, need_scores, primary_metric
from osft_workspace import UserError, event, excerpt
from osft_workspace.options import say_checked


def check(options: Options) -> None:
    """Look at the options of an evaluation. Raises UserError with every problem."""
    downloads = options.download_benchmarks or not is_off()
    os.environ.update(dict.fromkeys(OFF, "1"))  # before the libraries are imported, which read it then
    backends.prepare_environment()
    problems = [*option_problems(options)]
    problems += said(backends.require_installed, options)
    backends.quiet(options.verbosity)
    names, found = task_problems(options, downloads=downloads)
    problems += found
    if names is not None:
        problems += name_problems(options, names)
    refuse(problems)
    say_checked("eval")


def said(function: Any, *arguments: Any) -> list[str]:
    """Return what a function refuses, as a list of no or one sentence."""
    try:
        function(*arguments)
    except UserError as error:
        return [error.message]
    return []


def task_problems(options: Options, *, downloads: bool) -> tuple[Outline | None, list[str]]:
    """Look up and load every task.

    Args:
        downloads: whether evaluation may fetch what is not here; it is then left unchecked.

    Returns:
        What was found, or None where nothing could be looked up; a sentence for each problem.
    """
    try:
        manager = open_manager(options.task_names, options.include_path) if options.task_names else None
    except UserError as error:
        return None, [error.message]
    outline, problems, unchecked = Outline(manager.task_index if manager else {}), [], []
    for name in options.task_names:
        try:
            for match in find(manager, name, options.include_path):
                found = outline_of(manager, [match])
                outline.tasks |= found.tasks
                outline.groups |= found.groups
                found.refuse_unsafe()
                if not load_and_ask(manager, match, found, options, downloads=downloads):
                    unchecked.append(match)
        except UserError as error:
            problems.append(error.message)
    if unchecked:
        event("eval", "not checked, its items come from elsewhere", tasks=excerpt(", ".join(unchecked)))
    return outline, problems


def load_and_ask(manager: Any, name: str, found: Outline, options: Options, *, downloads: bool) -> bool:
    """Load a task or group and write its first prompts; returns whether its items were here."""
    if any(task.fetches for task in found.tasks.values()):
        return False
    try:
        loaded = load(manager, [name])
    except HubIsOff:
        if downloads:
            return False
        raise
    for key, task in loaded["tasks"].items():
        prepare(key, task, options)
    return True


def name_problems(options: Options, outline: Outline) -> Iterator[str]:
    """Return problems of gates, primary metric and endpoint with tasks that are missing or not suited."""
    names = [*outline.groups, *outline.tasks]
    gated = options.gates.get("tasks")
    yield from gates.name_problems(gated if isinstance(gated, Mapping) else (), names)
    loss, answers = (
        options.holdout and options.can_score,
        options.holdout and options.holdout_generate > 0,
    )
    if options.gates.get("holdoutMustImprove") is True and not loss:
        yield (
            "eval.gates.holdoutMustImprove needs the held-out loss, and it is not measured: set "
            "eval.holdout.enabled to true, and point eval.baseUrl at the server's /v1 (completions), or "
            "remove this gate."
        )
    yield from said(need_scores, options, {name: task.output_type for name, task in outline.tasks.items()})
    known = measured(names, loss=loss, answers=answers)
    if options.task_names or options.holdout:
        yield from said(primary_metric, options, known)
