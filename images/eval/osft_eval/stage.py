"""The evaluation of one run: base and tuned model on the same items, judged and reported."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osft_eval import backends, figures, gates, holdout, report, samples
from osft_eval.cache import BaseCache
from osft_eval.catalogue import Catalogue, load_catalogue
from osft_eval.holdout import Holdout
from osft_eval.parts import measure, parts_of
from osft_eval.settings import Settings
from osft_workspace import Outcome, Record, Run, UserError, write_atomic

SCHEMA = "osft-pipeline/eval-results/v1"
UNSAFE = re.compile(r"[^\w.-]+")
HOLDOUT_LOSS = "holdout_loss"


@dataclass(frozen=True, slots=True)
class Models:
    """The two models of a run."""

    base: Path
    tuned: Path
    record: Record
    """Of training."""

    @property
    def base_details(self) -> Mapping[str, Any]:
        return dict(self.record.details["base"])


def evaluate(run: Run, settings: Settings, verbosity: str) -> Outcome:
    """Measure, compare, judge and report.

    Raises:
        UserError: unknown task or gate, backend not here, no chat template, items on a hub out of reach, a
            loss or score that is no finite number.
        Transient: a hub or a model server is away.
    """
    backends.prepare_environment()
    backends.require(settings)
    backends.quiet(verbosity)
    models = find_models(run)
    catalogue = load_catalogue(settings.tasks, settings.include_path)
    names = [*catalogue.groups, *catalogue.tasks]
    gates.check_names(settings.gates, names)
    rows, skipped = find_rows(run, settings, models)
    primary = primary_metric(settings, catalogue, rows)
    check_tasks(settings, catalogue, models)
    dtype = backends.choose_dtype(run, settings)
    engine = engine_of(settings, dtype)
    parts = parts_of(settings, catalogue, rows)
    cache = base_cache(run, settings, models, engine)
    base = measure(run, settings, "base", models.base, dtype, parts, cache)
    tuned = measure(run, settings, "tuned", models.tuned, dtype, parts, None)
    results = {
        "schema": SCHEMA,
        "run_id": run.run_id,
        "base": {key: models.base_details.get(key) for key in ("uri", "revision", "digest")},
        "tuned": models.record.details["model"],
        **figures.of_tasks(catalogue, base, tuned),
        "holdout": figures.of_holdout(rows, base, tuned) if rows else None,
        "primary_metric": primary,
        "skipped": skipped,
        "engine": engine,
    }
    why = "; ".join(entry["reason"] for entry in skipped)
    results["gates"] = gates.apply(
        settings.gates, {**results["groups"], **results["tasks"]}, results["holdout"], why
    )
    outputs = leave(run, settings, catalogue, rows, results, base, tuned)
    return outcome(models, results, outputs)


def find_models(run: Run) -> Models:
    """Base and tuned model, as the record of training names them."""
    record = run.predecessors["train"]
    base = run.workspace.root / str(record.details["base"]["path"])
    tuned = run.workspace.run_dir(run.run_id) / str(record.details["model"]["path"])
    for which, folder in (("base", base), ("tuned", tuned)):
        if not (folder / "config.json").is_file():
            raise UserError(
                f"the {which} model has no config.json in {folder}. Run download and train again."
            )
    return Models(base, tuned, record)


def load_tokenizer(folder: Path, settings: Settings) -> Any:
    """The tokenizer of a model's folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)


def find_rows(run: Run, settings: Settings, models: Models) -> tuple[Holdout | None, list[dict[str, str]]]:
    """Held-out rows, and what is left out with the reason."""
    path = run.predecessors["download"].path("eval.jsonl")
    if not settings.holdout:
        return None, [{"what": "held-out rows", "reason": "switched off (eval.holdout.enabled)"}]
    if path.stat().st_size == 0:
        reason = "no rows were held out (data.trainFraction is 1 and data.evalUri is empty)"
        if not settings.tasks:
            raise UserError(f"there is nothing to evaluate: {reason}, and eval.tasks is empty.")
        run.event("left out", part="held-out rows", reason=reason)
        return None, [{"what": "held-out rows", "reason": reason}]
    tokenizer = load_tokenizer(models.tuned, settings)
    with path.open(encoding="utf-8") as file:
        if "messages" in json.loads(file.readline()):
            holdout.require_template(tokenizer, "the tuned model")
    trust = settings.trust_remote_code
    limits = [backends.sizes(folder, trust_remote_code=trust) for folder in (models.base, models.tuned)]
    longest, vocabulary = (min(size[at] for size in limits) for at in (0, 1))
    encoder = holdout.Encoder(tokenizer, longest, vocabulary)
    rows = holdout.load_holdout(path, encoder, settings.holdout_limit, settings.holdout_generate)
    skipped = [{"what": "held-out rows", "reason": reason} for reason in rows.skipped]
    if not settings.can_score:
        skipped.append({"what": "held-out loss", "reason": "a chat endpoint gives no log-probabilities"})
    for entry in skipped:
        run.event("left out", part=entry["what"], reason=entry["reason"])
    return rows, skipped


def check_tasks(settings: Settings, catalogue: Catalogue, models: Models) -> None:
    """Raises UserError for tasks that need what a model lacks: a chat template, or log-probabilities."""
    if settings.chat_template:
        for which, folder in (("base", models.base), ("tuned", models.tuned)):
            tokenizer = load_tokenizer(folder, settings)
            holdout.require_template(tokenizer, f"the {which} model", "eval.chatTemplate")
    scored = [name for name, task in catalogue.tasks.items() if task.config.output_type != "generate_until"]
    if scored and not settings.can_score:
        raise UserError(
            f"{', '.join(scored)} need log-probabilities, which {settings.base_url} does not give. "
            "Point eval.baseUrl at the server's /v1 (completions), or choose tasks that generate."
        )


def primary_metric(settings: Settings, catalogue: Catalogue, rows: Holdout | None) -> str:
    """The figure that stands for the model: as asked, else the held-out loss, else the first group or task.

    Raises:
        UserError: it names something that is not measured.
    """
    known = [HOLDOUT_LOSS] if rows and settings.can_score else []
    known += [*catalogue.groups, *catalogue.tasks]
    if settings.primary_metric and settings.primary_metric not in known:
        raise UserError(
            f"--primary-metric {settings.primary_metric!r} is not measured. Measured: {', '.join(known)}."
        )
    return settings.primary_metric or known[0]


def engine_of(settings: Settings, dtype: str) -> dict[str, Any]:
    """What measured."""
    from importlib.metadata import version

    packages = ("lm_eval", "transformers", "torch", *(("vllm",) if settings.backend == "vllm" else ()))
    device = {"openai": "server"}.get(
        settings.backend, "cpu" if settings.gpus == 0 else f"cuda x {settings.gpus}"
    )
    found = {name: version(name) for name in packages}
    return {"backend": settings.backend, **found, "device": device, "dtype": dtype}


def base_cache(run: Run, settings: Settings, models: Models, engine: Mapping[str, Any]) -> BaseCache | None:
    """Where base results are kept; nowhere for a server, whose weights nobody here can vouch for."""
    if settings.backend == "openai":
        return None
    common = {
        "base": models.base_details["digest"],
        "engine": dict(engine),
        "limit": settings.limit,
        "batch_size": settings.batch_size,
        "generation": settings.generation,
        "max_new_tokens": settings.holdout_max_new_tokens,
        "model_args": settings.args_for("base"),
        "chat_template": settings.chat_template,
        "seed": settings.seed,
    }
    return BaseCache(run, common)


def leave(
    run: Run,
    settings: Settings,
    catalogue: Catalogue,
    rows: Holdout | None,
    results: dict[str, Any],
    base: Mapping[str, Any],
    tuned: Mapping[str, Any],
) -> list[str]:
    """Write results, samples and the report; returns their names."""
    kept = {name: list(samples.task_samples(base[name], tuned[name])) for name in catalogue.tasks}
    if rows:
        kept["holdout"] = list(samples.holdout_samples(rows, base, tuned))
    write_atomic(
        run.dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    view = report.make_view(results, kept if settings.log_samples else {}, training_facts(run))
    write_atomic(run.dir / "report.html", report.render_html(view))
    write_atomic(run.dir / "report.md", report.render_markdown(view))
    outputs = ["results.json", "report.html", "report.md"]
    if settings.log_samples:
        for name, items in kept.items():
            write_atomic(run.dir / "samples" / f"{UNSAFE.sub('_', name)}.jsonl", samples.lines(items))
        outputs.append("samples")
    return outputs


def training_facts(run: Run) -> dict[str, str]:
    """What the report says of data and training, in a line each."""
    data, train = run.predecessors["download"].details, run.predecessors["train"]
    rows = data.get("rows", {})
    arguments = train.details.get("arguments", {})
    shown = ("unfreeze_rank_ratio", "learning_rate", "num_epochs", "effective_batch_size", "seed")
    counts = ", ".join(f"{rows[name]:,} {name}" for name in ("train", "eval", "rejected") if name in rows)
    sources = ", ".join(str(source["uri"]) for source in data.get("sources", []))
    said = {
        "Data": "; ".join(part for part in (sources, f"{counts} rows" if counts else "") if part),
        "Training": ", ".join(
            f"{name} {arguments[name]}" for name in shown if arguments.get(name) is not None
        ),
        "Steps": ", ".join(
            f"{name} {train.metrics[name]:,.6g}"
            for name in ("steps", "tokens", "final_loss")
            if name in train.metrics
        ),
    }
    return {label: text for label, text in said.items() if text}


def outcome(models: Models, results: dict[str, Any], outputs: list[str]) -> Outcome:
    """The record's part of the results."""
    failures = results["gates"]["failures"]
    return Outcome(
        outputs=outputs,
        metrics=figures.flat(results),
        details={"model": models.record.details["model"], "primary_metric": results["primary_metric"]},
        versions={name: results["engine"][name] for name in ("lm_eval", "transformers", "torch")},
        status="refused" if failures else "done",
        message=" ".join(failures) if failures else figures.in_short(results),
    )
