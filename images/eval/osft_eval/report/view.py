"""What the report shows, as plain strings: the templates only lay it out."""

from collections.abc import Mapping, Sequence
from typing import Any

from osft_eval import gates
from osft_eval.report import examples
from osft_eval.report.words import (
    capital,
    counted,
    equals,
    headline,
    kept_state,
    learned_state,
    p_text,
    percent,
    signed,
    signed_plain,
)

HOLDOUT_NAMES = {
    "exact_match": ("Exact match", "the whole answer, letter for letter"),
    "contains": ("Contains", "the reference stands in the answer"),
    "f1": ("Word F1", "shared words"),
    "rouge_l": ("ROUGE-L", "longest shared sequence of words"),
    "bleu": ("BLEU", "shared runs of up to four words"),
}
LEAST_SCALE = 0.05
"""Half the width of the interval charts, as a share: 5 points, so that noise does not fill them."""


def make_view(
    results: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    training: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything on the page.

    Args:
        results: as in results.json.
        samples: as in samples/*.jsonl by task, `holdout` for the rows; empty when they are not kept.
        training: facts of the run that the record of training holds, label -> text.
    """
    groups, tasks, holdout = results["groups"], results["tasks"], results["holdout"]
    learned, kept = learned_state(holdout), kept_state([*groups.values(), *tasks.values()])
    return {
        "run_id": results["run_id"],
        "headline": headline(learned, kept),
        "base": name_of(str(results["base"].get("uri") or "")),
        "asked": asked(tasks, holdout),
        "gate": gate_of(results["gates"]),
        "cards": cards(groups, tasks, holdout, learned),
        "learned": learned_view(holdout, learned, samples.get("holdout", [])),
        "kept": kept_view(groups, tasks, samples),
        "skipped": [f"{capital(entry['what'])}: {entry['reason']}." for entry in results["skipped"]],
        "facts": facts(results, training),
    }


def name_of(uri: str) -> str:
    """What people call a model of the hub; a folder's name says nothing."""
    return uri.rsplit("/", 1)[-1] if uri.startswith("hf://") else ""


def asked(tasks: Mapping[str, Any], holdout: Mapping[str, Any] | None) -> str:
    """What both models were given."""
    items = sum(task["n"] for task in tasks.values())
    parts = [counted(items, "question")] if items else []
    parts += [counted(holdout["n"], "held-out row")] if holdout else []
    return " and ".join(parts)


def gate_of(judged: Mapping[str, Any]) -> dict[str, Any]:
    """The gates: a state, its word, the rules and what failed."""
    rules = judged["rules"]
    said = []
    if rules["maxTaskDrop"] is not None:
        said.append(f"No task may fall by more than {rules['maxTaskDrop']:g} points.")
    said += [f"{name} may fall by at most {points:g} points." for name, points in rules["tasks"].items()]
    if rules["holdoutMustImprove"]:
        said.append("The held-out loss must fall.")
    if said and rules["significance"] is not None:
        said.append(f"A fall counts below p = {rules['significance']:g}, adjusted for the number of tests.")
    state = "refused" if judged["failures"] else "passed" if said else "open"
    word = {"refused": "Refused", "passed": "Gates passed", "open": "No gates set"}[state]
    failures = [capital(failure) for failure in judged["failures"]]
    return {"state": state, "word": word, "rules": said, "failures": failures}


def cards(
    groups: Mapping[str, Any],
    tasks: Mapping[str, Any],
    holdout: Mapping[str, Any] | None,
    learned: str | None,
) -> list[dict[str, str]]:
    """The few figures that stand at the top."""
    found = []
    if holdout and "loss" in holdout:
        loss = holdout["loss"]
        tone = {"learned": "good", "worse": "bad"}.get(learned or "", "")
        note = f"{counted(holdout['n'], 'held-out row')}; lower is better"
        found.append(
            {"label": "Held-out loss", "before": f"{loss['base']:.3f}", "after": f"{loss['tuned']:.3f}",
             "note": note, "tone": tone}
        )  # fmt: skip
    for task in list((groups or tasks).values())[: 3 - len(found)]:
        flips = "" if task["gained"] is None else f"; {task['gained']} gained, {task['lost']} lost"
        found.append(
            {"label": capital(task["title"]), "before": value(task, "base"), "after": value(task, "tuned"),
             "note": f"{counted(task['n'], 'item')}{flips}", "tone": tone_of(task)}
        )  # fmt: skip
    return found


def value(task: Mapping[str, Any], which: str) -> str:
    """A task's value: shares as percent."""
    return percent(task[which]) if gates.is_share(task) else f"{task[which]:.4g}"


def tone_of(task: Mapping[str, Any]) -> str:
    return {"worse": "bad", "better": "good"}.get(task["verdict"], "")


def learned_view(
    holdout: Mapping[str, Any] | None, learned: str | None, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Held-out figures and examples."""
    if not holdout:
        return None
    table = []
    if learned:
        tone = {"learned": "good", "worse": "bad"}.get(learned, "")
        for key, name, note in (
            ("loss", "Loss", "nats per token, lower is better"),
            ("perplexity", "Perplexity", "as if choosing among so many tokens"),
        ):
            base, tuned, digits = holdout[key]["base"], holdout[key]["tuned"], 3 if key == "loss" else 1
            table.append(
                {"name": name, "note": note, "base": f"{base:,.{digits}f}", "tuned": f"{tuned:,.{digits}f}",
                 "change": signed(tuned - base, digits), "tone": tone}
            )  # fmt: skip
    if holdout["generated"]:
        for key, (name, note) in HOLDOUT_NAMES.items():
            base, tuned = holdout[key]["base"], holdout[key]["tuned"]
            table.append(
                {"name": name, "note": note, "base": percent(base), "tuned": percent(tuned),
                 "change": signed(100 * (tuned - base)), "tone": ""}
            )  # fmt: skip
    interval = holdout.get("interval")
    sure = (
        f"The change in loss lies between {signed(interval[0], 3)} and {signed(interval[1], 3)} "
        f"with 95\u00a0% confidence (p\u00a0{equals(holdout['p_value'])}, {holdout['test']})."
        if interval
        else ""
    )
    return {
        "n": counted(holdout["n"], "held-out row"),
        "tokens": counted(holdout["tokens"], "token"),
        "generated": counted(holdout["generated"], "row") if holdout["generated"] else "",
        "table": table,
        "sure": sure,
        "examples": examples.of_rows(rows),
    }


def kept_view(
    groups: Mapping[str, Any], tasks: Mapping[str, Any], samples: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """Tasks and groups, their intervals on one scale, and the answers that were lost."""
    if not tasks:
        return None
    compared = {**groups, **tasks}
    ends = [
        abs(end)
        for task in compared.values()
        if gates.is_share(task) and task["interval"]
        for end in task["interval"]
    ]
    scale = max([LEAST_SCALE, *ends])
    power = [task for task in groups.values() if task["detectable"]] or [
        task for task in tasks.values() if task["detectable"]
    ]
    return {
        "rows": [row(name, task, name in groups, scale) for name, task in compared.items()],
        "scale": f"{100 * scale:.0f}",
        "power": [
            f"{capital(task['title'])}, {counted(task['n'], 'item')}: a true fall of "
            f"{100 * task['detectable']:.1f} points would be noticed four times in five."
            for task in power[:3]
        ],
        "examples": examples.of_tasks(tasks, samples),
        "lost": sum(task["lost"] or 0 for task in tasks.values()),
    }


def row(name: str, task: Mapping[str, Any], group: bool, scale: float) -> dict[str, Any]:
    """One line of the table of tasks."""
    share = gates.is_share(task)
    readings = {"worse": "fell", "better": "rose", "unchanged": "no sure change", "untested": "not tested"}
    reading = readings[task["verdict"]]
    by = "" if task["metric"] == "acc" or group else f" by {task['metric']}"
    chart = None
    if share and task["interval"]:
        low, high = task["interval"]
        chart = {
            "low": low / scale,
            "high": high / scale,
            "at": task["delta"] / scale,
            "label": f"{signed(100 * low)} to {signed(100 * high)} points",
        }
    return {
        "name": capital(task["title"]),
        "id": name,
        "group": group,
        "n": f"{task['n']:,}",
        "base": value(task, "base"),
        "tuned": value(task, "tuned"),
        "change": signed(100 * task["delta"]) if share else signed_plain(task["delta"]),
        "chart": chart,
        "gained": "–" if task["gained"] is None else str(task["gained"]),  # noqa: RUF001
        "lost": "–" if task["lost"] is None else str(task["lost"]),  # noqa: RUF001
        "p": p_text(task["p_value"]),
        "reading": reading,
        "note": f"{counted(task['n'], 'item')}{by}, {reading}",
        "tone": tone_of(task),
    }


def facts(results: Mapping[str, Any], training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where everything came from."""
    base, tuned, engine = results["base"], results["tuned"], results["engine"]
    origin = " ".join(str(base[key]) for key in ("uri", "revision") if base.get(key))
    versions = ", ".join(
        f"{name} {engine[name]}"
        for name in ("osft_eval", "lm_eval", "transformers", "torch")
        if name in engine
    )
    found = [
        ("Run", results["run_id"]),
        ("Base", origin),
        ("Base digest", base.get("digest") or ""),
        ("Tuned digest", tuned.get("digest") or ""),
        *training.items(),
        ("Measured with", f"{engine['backend']} on {engine['device']}, {engine['dtype']}; {versions}"),
        ("Figure for the registry", results["primary_metric"]),
    ]
    return [(label, str(text)) for label, text in found if text]
