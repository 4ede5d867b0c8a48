"""What the report shows, as plain strings: the templates only lay it out.

Figures and sentences on the results come from `summary` of results.json; here they get charts and examples.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from osft_eval.compare import is_share
from osft_eval.report import examples, mix
from osft_workspace.text import counted
from osft_workspace.words import NONE, capital, name_of, signed

MOST_ALONE = 12
"""Tasks of which the report says what each would show alone."""
LEAST_SCALE = 0.05
"""Half the width of the interval charts, as a share: 5 points, so that noise does not fill them."""


def make_view(
    results: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    about: tuple[Mapping[str, str], Mapping[str, str]],
    data: Mapping[str, Any],
    curve: bytes | None = None,
) -> dict[str, Any]:
    """Everything on the page.

    Args:
        results: as in results.json.
        samples: as in samples/*.jsonl by task, `holdout` for the rows; empty when they are not kept.
        about: facts of the run, label -> text: those at the top, and those at the end.
        data: `counts`, sentences on the rows that trained and those that did not; `rows`, the first ones as
            pieces of `text` that are `learned` or not.
        curve: picture of the losses during training, an SVG file.
    """
    summary, tables = results["summary"], results["summary"]["tables"]
    groups, tasks, holdout = results["groups"], results["tasks"], results["holdout"]
    learned = tables["learned"]
    return {
        "run_id": results["run_id"],
        "decision": summary["decision"],
        "about": [*about[0].items()],
        "curve": base64.b64encode(curve).decode() if curve else "",
        "base": name_of(str(results["base"].get("uri") or "")),
        "asked": asked(tasks, holdout),
        "gate": summary["gates"],
        "mix": {"sentence": summary["mix"], "picture": mix.picture(results.get("mix"))},
        "chain": summary["chain"],
        "cards": cards(tables, holdout),
        "learned": learned and {**learned, "examples": examples.of_rows(samples.get("holdout", []))},
        "kept": tables["kept"] and kept_view(tables["kept"], groups, tasks, samples),
        "data": data,
        "skipped": summary["left_out"],
        "facts": facts(results, about[1]),
    }


def asked(tasks: Mapping[str, Any], holdout: Mapping[str, Any] | None) -> str:
    """Return what both models were given."""
    items = sum(task["n"] for task in tasks.values())
    parts = [counted(items, "question")] if items else []
    parts += [counted(holdout["n"], "held-out row")] if holdout else []
    return " and ".join(parts)


def cards(tables: Mapping[str, Any], holdout: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return the few figures that stand at the top: the held-out loss, then groups, else tasks."""
    found = []
    for line in (tables["learned"] or {"rows": []})["rows"]:
        if line["id"] == "loss" and holdout:
            note = f"{counted(holdout['n'], 'held-out row')}; lower is better"
            found.append({**line, "name": "Held-out loss", "note": note})
    lines = (tables["kept"] or {"rows": []})["rows"]
    for line in ([line for line in lines if line["group"]] or lines)[: 3 - len(found)]:
        flips = "" if line["gained"] == NONE else f"; {line['gained']} gained, {line['lost']} lost"
        found.append({**line, "note": f"{line['items']} items{flips}"})
    return found


def kept_view(
    table: Mapping[str, Any],
    groups: Mapping[str, Any],
    tasks: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Tasks and groups, their intervals on one scale, and the answers that were lost."""
    compared = {**groups, **tasks}
    ends = [
        abs(end)
        for task in compared.values()
        if is_share(task) and task["interval"]
        for end in task["interval"]
    ]
    scale = max([LEAST_SCALE, *ends])
    power = [task for task in groups.values() if task["detectable"]] or [
        task for task in tasks.values() if task["detectable"]
    ]
    return {
        **table,
        "rows": [row(line, compared[line["id"]], scale) for line in table["rows"]],
        "scale": f"{100 * scale:.0f}",
        "power": [
            f"{capital(task['title'])}, {counted(task['n'], 'item')}: a true fall of "
            f"{100 * task['detectable']:.1f} points would be detected four times in five."
            for task in power[:3]
        ]
        + ([said] if groups and (said := alone(tasks)) else []),
        "examples": examples.of_tasks(tasks, samples),
        "lost": sum(task["lost"] or 0 for task in tasks.values()),
    }


def alone(tasks: Mapping[str, Any]) -> str:
    """Say which falls the items of single tasks would show."""
    found = [
        f"{capital(task['title'])} {100 * task['detectable']:.1f}"
        for task in tasks.values()
        if task["detectable"]
    ]
    return f"Single tasks would show, in points, a fall of: {', '.join(found[:MOST_ALONE])}." if found else ""


def row(line: Mapping[str, Any], task: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """One line of the table of tasks: as the summary has it, with its chart."""
    by = "" if task["metric"] == "acc" or line["group"] else f" by {task['metric']}"
    chart = None
    if is_share(task) and task["interval"]:
        low, high = task["interval"]
        chart = {
            "low": low / scale,
            "high": high / scale,
            "at": task["delta"] / scale,
            "label": f"{signed(100 * low)} to {signed(100 * high)} points",
        }
    return {**line, "chart": chart, "note": f"{counted(task['n'], 'item')}{by}, {line['reading']}"}


def facts(results: Mapping[str, Any], training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return where everything came from."""
    base, tuned, engine = results["base"], results["tuned"], results["engine"]
    versions = ", ".join(
        f"{name} {engine[name]}"
        for name in ("osft_eval", "lm_eval", "transformers", "torch", "vllm")
        if name in engine
    )
    several = "parts" in engine
    backend = "vllm where a model writes, hf where it scores," if several else engine["backend"]
    found = [
        ("Run", results["run_id"]),
        ("Base digest", base.get("digest") or ""),
        ("Tuned digest", tuned.get("digest") or ""),
        *training.items(),
        ("Measured with", f"{backend} on {engine['device']}, {engine['dtype']}; {versions}"),
        ("Figure for the registry", results["primary_metric"]),
    ]
    return [(label, str(text)) for label, text in found if text]
