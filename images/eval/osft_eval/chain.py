"""Earlier tasks of a chain: their held-out rows on both models, what was forgotten, and the gate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from osft_eval import backends, compare, figures, holdout, matrix
from osft_eval.cache import Cache
from osft_eval.catalogue import Catalogue
from osft_eval.gates import Gates
from osft_eval.holdout import Holdout
from osft_eval.models import Models
from osft_eval.options import Options
from osft_eval.parts import LOSS, Part, measure
from osft_eval.weights import Weights
from osft_workspace import Run, UserError, paired, tree_digest
from osft_workspace.files import is_folder
from osft_workspace.links import Link
from osft_workspace.shapes import NUMBER

GATE = "maxEarlierRise"


@dataclass(frozen=True, slots=True)
class Earlier:
    """One earlier task of the chain."""

    number: int
    """Its place in the chain, from 1."""
    link: Link
    rows: Holdout | None
    why_not: str = ""
    """Why its rows are not measured."""

    @property
    def part(self) -> str:
        """Name of the part that measures it."""
        return f"{LOSS} of {self.link['run']}"

    @property
    def title(self) -> str:
        return title_of(self.number, self.link["run"])


def title_of(number: int, run: str) -> str:
    """Return what a task of the chain is called."""
    return f"task {number} ({run})"


def find(run: Run, options: Options, models: Models) -> list[Earlier]:
    """Return the earlier tasks of the chain; none where the run continues no other.

    Rows that are gone are a reason in place of rows, and so are rows that cannot be scored.
    """
    found = [*earlier(run, options, models)]
    for task in found:
        if task.rows is None:
            run.event("left out", part=f"held-out rows of {task.title}", reason=task.why_not)
    return found


def earlier(run: Run, options: Options, models: Models) -> Iterator[Earlier]:
    """Yield each earlier task, the first one first."""
    download = run.predecessors["download"]
    chain = download.details.get("chain")
    reader: holdout.Reader | None = None
    for number, link in enumerate(chain["links"] if chain else (), 1):
        rows = link["rows"]
        if why := why_not(options, rows, download.shared):
            yield Earlier(number, link, None, why)
            continue
        if reader is None:
            trust = options.trust_remote_code
            reader = holdout.Reader(*backends.least_sizes(models.folders, trust_remote_code=trust))
        path = download.shared_path(run.workspace.root, rows["path"]) / "eval.jsonl"
        try:
            yield Earlier(number, link, reader.read(path, options.holdout_limit, 0))
        except UserError as error:
            yield Earlier(number, link, None, error.message.partition(". ")[0])


def why_not(options: Options, rows: Mapping[str, Any], shared: Mapping[str, str]) -> str:
    """Return why an earlier task's rows are not measured; empty where they are."""
    if not options.holdout:
        return "switched off (eval.holdout.enabled)"
    if not options.can_score:
        return "a chat endpoint gives no log-probabilities"
    if not rows["rows"]:
        return "that run held no rows out"
    return "" if rows["path"] in shared else "they are gone from the workspace"


def parts(tasks: Sequence[Earlier]) -> list[Part]:
    """Return what is measured of the earlier tasks on each model: the loss of every held-out row."""
    return [
        Part(
            task.part,
            task.rows.loss_digest,
            len(task.rows.rows),
            [NUMBER],
            partial(holdout.losses, rows=task.rows.rows),
            generates=False,
        )
        for task in tasks
        if task.rows
    ]


@dataclass(frozen=True, slots=True)
class First:
    """The first base model of a chain."""

    details: Mapping[str, Any]
    results: Mapping[str, Any]
    """What it answered, part by part."""


def measure_first(
    run: Run, options: Options, models: Models, dtype: str, asked: Sequence[Part], cache: Cache | None
) -> First | None:
    """Return what the first base model of the chain answers; None where it is the base model, or is gone.

    Args:
        cache: of this run's base model.
    """
    chain = run.predecessors["download"].details.get("chain")
    if not chain or cache is None:
        return None
    details = chain["links"][0]["base"]
    digest = str(details["digest"])
    folder = run.workspace.models / Path(digest.removeprefix("sha256:")).name
    if digest == models.base_details["digest"]:
        return None
    if not is_folder(folder) or tree_digest(folder) != digest:
        run.event("left out", part="the first base model", reason="it is gone from the workspace")
        return None
    own = Cache(run, cache.folder, {**cache.common, "model": digest})
    weights = Weights(folder, title="first base")
    return First(details, measure(run, options, "base", weights, dtype, asked, own))


def compared(
    run: Run,
    catalogue: Catalogue,
    tasks: Sequence[Earlier],
    sides: tuple[Mapping[str, Any], Mapping[str, Any]],
    first: First | None,
    own: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return `chain` of results.json.

    Args:
        sides: what base and tuned model answered.
        own: `holdout` of results.json, of this run's rows.
    """
    found = [one(task, *sides) for task in tasks]
    judge([task for task in found if not task["reason"]])
    known = matrix.Matrix.of(run, [task.link for task in tasks])
    known.add(found, own, {task.link["run"]: mean(task, first) for task in tasks} if first else {})
    return {
        "tasks": found,
        "first": against_first(catalogue, first, sides[1]) if first else None,
        **known.figures(),
    }


def one(task: Earlier, base: Mapping[str, Any], tuned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one earlier task."""
    facts = {
        "number": task.number,
        "run": task.link["run"],
        "title": task.title,
        "sources": list(task.link["sources"]),
        "model": task.link["model"]["digest"],
        "reason": task.why_not,
    }
    if task.rows is None:
        return facts
    tokens = [row.tokens for row in task.rows.rows]
    return {**facts, **compare.compare_holdout(tokens, base[task.part], tuned[task.part])}


def judge(tasks: Sequence[dict[str, Any]]) -> None:
    """Add `p_adjusted`, over all earlier tasks, and `verdict`: worse, better or unchanged."""
    adjusted = paired.holm([task["p_value"] for task in tasks])
    for task, p_value in zip(tasks, adjusted, strict=True):
        task["p_adjusted"] = p_value
        real = p_value < paired.LEVEL
        task["verdict"] = ("worse" if task["delta"] > 0 else "better") if real else "unchanged"


def mean(task: Earlier, first: First) -> float | None:
    """Return the first base model's loss on an earlier task's rows, in nats per token."""
    if task.rows is None:
        return None
    return float(sum(first.results[task.part]) / sum(row.tokens for row in task.rows.rows))


def against_first(catalogue: Catalogue, first: First, tuned: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the tuned model does against the first base model on the tasks of eval.tasks."""
    of_tasks = figures.of_tasks(catalogue, first.results, tuned)
    kept = ("title", "n", "base", "tuned", "delta", "points", "p_value", "p_adjusted", "verdict")
    return {
        "uri": first.details.get("uri"),
        "digest": first.details["digest"],
        **{
            part: {name: {key: task[key] for key in kept} for name, task in of_tasks[part].items()}
            for part in ("groups", "tasks")
        },
    }


def gate(rules: Gates, results: dict[str, Any]) -> None:
    """Judge the rise of each earlier task's loss: add to `gates`, and to `skipped` what was not measured."""
    most, judged = rules.max_earlier_rise, results["gates"]
    for task in results.get("chain", {}).get("tasks", ()):
        if task["reason"]:
            so = "" if most is None else f", so {GATE} does not judge them"
            entry = {"what": f"held-out rows of {task['title']}", "reason": f"{task['reason']}{so}"}
            results["skipped"] = [*results["skipped"], entry]
        if most is None or task["reason"]:
            continue
        counts = rules.significance is None or task["p_adjusted"] < rules.significance
        rise = round(max(0.0, task["delta"]), compare.DECIMALS) if counts else 0.0
        task["gate"] = {"allowed": float(most), "used": rise, "counts": counts}
        if rise > most:
            judged["failures"].append(
                f"the held-out loss of {task['title']} rose by {rise:.3f} ({task['loss']['base']:.3f} "
                f"before, {task['loss']['tuned']:.3f} after, {task['n']} rows); the gate allows {most:g}."
            )
    judged["passed"] = not judged["failures"]


def flat(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of the chain as numbers with names of their own, for the record."""
    chain = results.get("chain")
    if not chain:
        return {}
    found = {
        f"earlier_{task['number']}_loss_{which}": task["loss"][which]
        for task in chain["tasks"]
        if not task["reason"]
        for which in ("base", "tuned")
    }
    named = {f"chain_{key}": chain[key] for key in ("average_loss", "backward_transfer")}
    return found | {name: value for name, value in named.items() if value is not None}
