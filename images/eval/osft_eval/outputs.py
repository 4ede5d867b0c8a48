"""What an evaluation leaves behind: files, and the record's part."""

import re
from collections.abc import Mapping
from typing import Any

from osft_eval import figures, report, samples
from osft_eval.benchmarks import Benchmarks
from osft_eval.catalogue import Catalogue
from osft_eval.holdout import Holdout
from osft_eval.models import Models
from osft_eval.options import Options
from osft_workspace import Outcome, Run, write_atomic
from osft_workspace.contents import Eval
from osft_workspace.planned import planned_and_measured
from osft_workspace.text import json_text

UNSAFE = re.compile(r"[^\w.-]+")


def leave(
    run: Run,
    options: Options,
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
    write_atomic(run.dir / "results.json", json_text(results, indent=1) + "\n")
    data = report.data_view(run.predecessors["download"].details, run.predecessors["train"].metrics)
    if not options.log_samples:
        kept, data = {}, {**data, "rows": []}
    view = report.make_view(results, kept, training_facts(run), data)
    write_atomic(run.dir / "report.html", report.render_html(view))
    write_atomic(run.dir / "report.md", report.render_markdown(view))
    outputs = ["results.json", "report.html", "report.md"]
    if options.log_samples:
        for name, items in kept.items():
            write_atomic(run.dir / "samples" / f"{UNSAFE.sub('_', name)}.jsonl", samples.lines(items))
        outputs.append("samples")
    return outputs


def training_facts(run: Run) -> dict[str, str]:
    """Return what the report says of data and training, in a line each."""
    data, train = run.predecessors["download"].details, run.predecessors["train"]
    arguments = train.details.get("arguments", {})
    shown = (
        *("unfreeze_rank_ratio", "lora_r", "lora_alpha", "quantization_type"),
        *("learning_rate", "num_epochs", "effective_batch_size", "seed"),
    )
    said = {
        "Data": ", ".join(str(source["uri"]) for source in data.get("sources", [])),
        "Training": ", ".join(
            f"{name} {arguments[name]}" for name in shown if arguments.get(name) is not None
        ),
        "Steps": ", ".join(
            f"{name} {train.metrics[name]:,.6g}"
            for name in ("steps", "tokens", "final_loss")
            if name in train.metrics
        ),
        **planned_and_measured(train),
    }
    return {label: text for label, text in said.items() if text}


def outcome(models: Models, results: dict[str, Any], outputs: list[str], benchmarks: Benchmarks) -> Outcome:
    """Return the record's part of the results."""
    failures = results["gates"]["failures"]
    details: Eval = {"model": models.goes_on, "primary_metric": results["primary_metric"]}
    if benchmarks.read:
        details["benchmarks"] = benchmarks.facts
    stage, _, folder = models.goes_on["path"].partition("/")
    return Outcome(
        outputs=[*outputs, folder] if stage == "eval" else outputs,
        shared=benchmarks.shared,
        metrics=figures.flat(results),
        details=details,
        versions={
            name: results["engine"][name] for name in ("osft_eval", "lm_eval", "transformers", "torch")
        },
        status="refused" if failures else "done",
        message=" ".join(failures) if failures else report.message(results),
    )
