"""The evaluation of one run: base and tuned model on the same items, judged and reported."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from osft_eval import backends, chain, figures, gates, holdout, outputs, trackers
from osft_eval.benchmarks import Benchmarks
from osft_eval.cache import Cache, own_code
from osft_eval.catalogue import Catalogue, load_catalogue
from osft_eval.causes import named
from osft_eval.harness import asks_chat
from osft_eval.holdout import Holdout
from osft_eval.mix.search import Chosen, settle
from osft_eval.models import Models, find_models
from osft_eval.options import Options
from osft_eval.parts import ANSWERS, LOSS, Part, measure, parts_of
from osft_eval.report.summary import summarize
from osft_eval.wanted import measured, need_scores, primary_metric
from osft_eval.watched import NO_TEMPLATE
from osft_eval.weights import Weights
from osft_rows.files import TokenFiles
from osft_workspace import Outcome, Run, UserError, printable
from osft_workspace.contents import RESULTS_SCHEMA

QUESTION = [{"role": "user", "content": "?"}]
WORK = "work"
"""Folder of a run in which the tuned model's results lie until the record is there."""


def evaluate(run: Run, options: Options) -> Outcome:
    """Measure, compare, judge and report.

    Raises:
        UserError: unknown task or gate, backend not here, no chat template, items on a hub out of reach, a
            loss or score that is not a finite number.
        Transient: a hub or a model server is unavailable.
    """
    models = prepared(run, options)
    benchmarks = Benchmarks(run, options.benchmark_revisions)
    with benchmarks.in_place_of_the_hub():
        catalogue = load_catalogue(options.task_names, options.include_path)
    names = [*catalogue.groups, *catalogue.tasks]
    rules = gates.read_gates(options.gates)
    gates.check_names(rules, names)
    rows, skipped = find_rows(run, options, models)
    earlier = chain.find(run, options, models)
    loss, answers = bool(rows and options.can_score), bool(rows and rows.generated)
    primary = primary_metric(options, measured(names, loss=loss, answers=answers))
    check_tasks(options, catalogue, models)
    engine = engine_of(options, backends.choose_dtype(run, options))
    measure_on = partial(measure_one, run, options, engine)
    chosen = settle(run, options, models, catalogue, rows, measure_on)
    skipped += [{"what": "the mix", "reason": chosen.why_not}] if chosen.why_not else []
    parts = [*parts_of(options, catalogue, chosen.rows, chosen.half), *chain.parts(earlier)]
    base, tuned = (measure_on(chosen.models, which, parts) for which in ("base", "tuned"))
    results = {
        "run_id": run.run_id,
        **compared(chosen, catalogue, base, tuned),
        "primary_metric": primary,
        "skipped": skipped,
        "engine": engine | measured_by(options, parts),
    }
    if earlier:
        first = measure_first(run, options, engine, chosen.models, parts)
        results["chain"] = chain.compared(run, catalogue, earlier, (base, tuned), first, results["holdout"])
    judge(run, rules, results)
    left = outputs.leave(run, options, catalogue, chosen.rows, results, base, tuned)
    ended = outputs.outcome(chosen.models, results, left, benchmarks)
    ended.after = partial(finish, run, options, results)
    return ended


def prepared(run: Run, options: Options) -> Models:
    """Return the models, once this process can run them by the backend that is asked for."""
    backends.prepare_environment()
    backends.require(options)
    backends.quiet(options.verbosity)
    models = find_models(run)
    models.tuned.require(options.backend)
    return models


def finish(run: Run, options: Options, results: Mapping[str, Any]) -> None:
    """Do what may happen only after the record: a start that is killed before it resumes from these files."""
    shutil.rmtree(run.home / WORK, ignore_errors=True)
    trackers.send(run, options, results)


def compared(
    chosen: Chosen, catalogue: Catalogue, base: Mapping[str, Any], tuned: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what results.json says of both models and of their answers."""
    models, rows = chosen.models, chosen.rows
    return {
        "schema": RESULTS_SCHEMA,
        "base": {key: models.base_details.get(key) for key in ("uri", "revision", "digest")},
        "tuned": models.goes_on,
        "mix": chosen.facts,
        **figures.of_tasks(catalogue, base, tuned),
        "holdout": figures.of_holdout(rows, base, tuned) if rows else None,
    }


def measure_one(
    run: Run, options: Options, engine: Mapping[str, Any], models: Models, which: str, parts: Sequence[Part]
) -> dict[str, Any]:
    """Return what the base or the tuned model answered, part by part."""
    weights = models.tuned if which == "tuned" else Weights(models.base)
    cache = cache_of(run, options, models, engine, which)
    return measure(run, options, which, weights, engine["dtype"], parts, cache)


def measure_first(
    run: Run, options: Options, engine: Mapping[str, Any], models: Models, parts: Sequence[Part]
) -> chain.First | None:
    """Return what the first base model of a chain answers, without this run's own rows."""
    asked = [part for part in parts if part.name not in (LOSS, ANSWERS)]
    cache = cache_of(run, options, models, engine, "base")
    return chain.measure_first(run, options, models, engine["dtype"], asked, cache)


def judge(run: Run, rules: gates.Gates, results: dict[str, Any]) -> None:
    """Add `gates`, to `skipped` what they cannot judge, and `summary`."""
    why = "; ".join(entry["reason"] for entry in results["skipped"])
    compared = {**results["groups"], **results["tasks"]}
    results["gates"] = gates.apply(rules, compared, results["holdout"], why)
    chain.gate(rules, results)
    ungated = gates.ungated(rules, compared)
    for entry in ungated:
        run.event("left out", part=entry["what"], reason=entry["reason"])
    results["skipped"] = [*results["skipped"], *ungated]
    results["summary"] = summarize(results)


def load_tokenizer(which: str, folder: Path, options: Options) -> Any:
    """Return the tokenizer of a model. Raises UserError when its files are not one."""
    from transformers import AutoTokenizer

    with named(
        f"the tokenizer of the {which} model cannot be loaded",
        f"Correct the tokenizer files in {printable(folder)}, or run download and train again.",
    ):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=options.trust_remote_code)


def find_rows(run: Run, options: Options, models: Models) -> tuple[Holdout | None, list[dict[str, str]]]:
    """Held-out rows, and what is left out with the reason."""
    download = run.predecessors["download"]
    if not options.holdout:
        return None, [{"what": "held-out rows", "reason": "switched off (eval.holdout.enabled)"}]
    if download.path("eval.jsonl").stat().st_size == 0:
        reason = f"no rows were held out: {download.details['no_held_out']}"
        if not options.task_names:
            raise UserError(f"there is nothing to evaluate: {reason}, and eval.tasks is empty.")
        run.event("left out", part="held-out rows", reason=reason)
        return None, [{"what": "held-out rows", "reason": reason}]
    reader = holdout.Reader(
        *backends.least_sizes(models.folders, trust_remote_code=options.trust_remote_code)
    )
    tokens = TokenFiles.of(download, run.workspace.root).eval
    rows = reader.read(tokens, options.holdout_limit, options.holdout_generate)
    skipped = [{"what": "held-out rows", "reason": reason} for reason in rows.skipped]
    if not options.can_score:
        skipped.append({"what": "held-out loss", "reason": "a chat endpoint gives no log-probabilities"})
    for entry in skipped:
        run.event("left out", part=entry["what"], reason=entry["reason"])
    return (rows if options.can_score or rows.generated else None), skipped


def check_tasks(options: Options, catalogue: Catalogue, models: Models) -> None:
    """Raise UserError for tasks that need what a model lacks: a chat template, or log-probabilities."""
    if options.chat_template or any(map(asks_chat, catalogue.tasks.values())):
        for which, folder in models.folders:
            tokenizer = load_tokenizer(which, folder, options)
            holdout.require_template(tokenizer, f"the {which} model")
            with named(f"the chat template of the {which} model cannot write a question", NO_TEMPLATE):
                tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
    need_scores(options, {name: str(task.config.output_type) for name, task in catalogue.tasks.items()})


def engine_of(options: Options, dtype: str) -> dict[str, Any]:
    """Return what measured."""
    from importlib.metadata import version

    packages = (
        "osft_eval",
        "lm_eval",
        "transformers",
        "torch",
        *(("vllm",) if options.backend in ("vllm", "auto") else ()),
    )
    device = {"openai": "server"}.get(
        options.backend, "cpu" if options.gpus == 0 else f"cuda x {options.gpus}"
    )
    found = {name: version(name) for name in packages}
    return {"backend": options.backend, **found, "device": device, "dtype": dtype}


def measured_by(options: Options, parts: Sequence[Part]) -> dict[str, Any]:
    """Return the backend of each part, where there is more than one; what a mix was chosen by is not one."""
    if options.backend != "auto":
        return {}
    return {"parts": {part.name: options.engine_for(generates=part.generates) for part in parts}}


def cache_of(
    run: Run, options: Options, models: Models, engine: Mapping[str, Any], which: str
) -> Cache | None:
    """Where a model's results are cached; nowhere for a server, whose weights cannot be verified."""
    if options.backend == "openai":
        return None
    model = models.base_details if which == "base" else models.goes_on
    common = {
        "code": own_code(),
        "model": model["digest"],
        **({"on": models.base_details["digest"]} if which == "tuned" and models.tuned.adapter else {}),
        "engine": dict(engine),
        "limit": options.limit,
        "batch_size": options.batch_size,
        "generation": options.generation,
        "max_new_tokens": options.holdout_max_new_tokens,
        "model_args": {name: options.args_for(which, name) for name in options.engines},
        "chat_template": options.chat_template,
        "seed": options.seed,
    }
    return Cache(run, run.workspace.evals if which == "base" else run.home / WORK, common)
