"""What an evaluation leaves behind: files, and the record's part."""

import re
from collections.abc import Mapping
from typing import Any

from osft_eval import chain, figures, report, samples
from osft_eval.benchmarks import Benchmarks
from osft_eval.catalogue import Catalogue
from osft_eval.holdout import Holdout
from osft_eval.models import Models
from osft_eval.options import Options
from osft_workspace import Outcome, Run, write_atomic
from osft_workspace.contents import Eval
from osft_workspace.text import json_text

UNSAFE = re.compile(r"[^\w.-]+")
CURVE = "loss.svg"


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
    download, train = (run.predecessors[stage] for stage in ("download", "train"))
    data = report.data_view(download.details, train.metrics)
    if not options.log_samples:
        kept, data = {}, {**data, "rows": []}
    about = report.at_the_top(download, train, results["base"], options.author)
    view = report.make_view(results, kept, (about, report.at_the_end(train)), data, loss_curve(run))
    write_atomic(run.dir / "report.html", report.render_html(view))
    write_atomic(run.dir / "report.md", report.render_markdown(view))
    outputs = ["results.json", "report.html", "report.md"]
    if options.log_samples:
        for name, items in kept.items():
            write_atomic(run.dir / "samples" / f"{UNSAFE.sub('_', name)}.jsonl", samples.lines(items))
        outputs.append("samples")
    return outputs


def loss_curve(run: Run) -> bytes | None:
    """Return the picture that training drew, an SVG file; None where a run has none."""
    train = run.predecessors["train"]
    there = any(output["path"] == CURVE for output in train.outputs)
    return train.path(CURVE).read_bytes() if there else None


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
        metrics=figures.flat(results) | chain.flat(results),
        details=details,
        versions={
            name: results["engine"][name] for name in ("osft_eval", "lm_eval", "transformers", "torch")
        },
        status="refused" if failures else "done",
        message=" ".join(failures) if failures else report.message(results),
    )
