"""What an evaluation found, in words. The one place that words it: `summary` of results.json.

The report, the model card, the registry's properties and the screens lay it out and word nothing themselves.
Titles in it are as they were given: every place that shows them escapes them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from osft_eval.compare import is_share
from osft_eval.report import chain, mix
from osft_eval.report.decision import decision
from osft_eval.report.gates import gates_in_words
from osft_workspace.text import counted
from osft_workspace.words import NONE, capital, equals, listed, p_text, percent, signed, signed_plain

Figures = Mapping[str, Any]
SURE = 0.05
LEARNED = {
    "learned": "It learned the new rows",
    "worse": "It got worse on the new rows",
    "unclear": "It did not clearly learn the new rows",
}
KEPT = {
    "worse": "it forgot some of what it knew",
    "better": "no forgetting was found",
    "unchanged": "no forgetting was found",
}
READINGS = {"worse": "fell", "better": "rose", "unchanged": "no clear change", "untested": "not tested"}
TONES = {"learned": "good", "better": "good", "worse": "bad"}
"""What is to be coloured, by verdict."""
HOLDOUT = {
    "loss": ("Loss", "nats per token, lower is better"),
    "perplexity": ("Perplexity", "effective number of choices per token"),
    "exact_match": ("Exact match", "the whole answer matches exactly"),
    "contains": ("Contains", "the answer contains the reference"),
    "f1": ("Word F1", "shared words"),
    "rouge_l": ("ROUGE-L", "longest shared sequence of words"),
    "bleu": ("BLEU", "shared runs of up to four words"),
}
DIGITS = {"loss": 3, "perplexity": 1}
"""Of figures that are not shares."""


def summarize(results: Figures) -> dict[str, Any]:
    """Return `summary` of results.json from its other parts.

    `verdict` is about what was kept, in the words of a task's verdict: `worse` when any task or group fell by
    more than expected by chance. `learned` is about the held-out loss: learned, worse, unclear or untested.
    """
    compared, holdout = {**results["groups"], **results["tasks"]}, results["holdout"]
    earlier = (results.get("chain") or {}).get("tasks", ())
    told = [*compared.values(), *(task for task in earlier if "verdict" in task)]
    learned, kept = learned_verdict(holdout), kept_verdict(told)
    sentence = headline(learned, kept)
    return {
        "headline": sentence,
        "decision": decision(sentence, learned, kept, results["gates"]),
        "verdict": kept,
        "learned": learned,
        "tables": {
            "learned": learned_table(holdout, learned) if holdout else None,
            "kept": kept_table(compared, results["groups"]) if compared else None,
        },
        "gates": gates_in_words(results["gates"], compared),
        "mix": mix.in_words(results.get("mix")),
        "chain": chain.in_words(results.get("chain")),
        "left_out": [f"{capital(entry['what'])}: {entry['reason']}." for entry in results["skipped"]],
    }


def learned_verdict(holdout: Figures | None) -> str:
    """Return whether the held-out loss fell."""
    if not holdout or "loss" not in holdout:
        return "untested"
    if holdout["p_value"] >= SURE:
        return "unclear"
    return "learned" if holdout["delta"] < 0 else "worse"


def kept_verdict(compared: Iterable[Figures]) -> str:
    """Return the verdict on all tasks and groups: the worst of them."""
    verdicts = {task["verdict"] for task in compared}
    return next((word for word in ("worse", "better", "unchanged") if word in verdicts), "untested")


def headline(learned: str, kept: str) -> str:
    """Return the result in one sentence."""
    if learned in LEARNED and kept in KEPT:
        joint = ", but " if (learned == "learned") != (kept != "worse") else ", and "
        return f"{LEARNED[learned]}{joint}{KEPT[kept]}."
    if learned in LEARNED:
        return f"{LEARNED[learned]}."
    return f"{capital(KEPT[kept])}." if kept in KEPT else "Nothing could be tested item by item."


def learned_table(holdout: Figures, learned: str) -> dict[str, Any]:
    """Return the held-out figures as rows."""
    rows = []
    for key, (name, note) in HOLDOUT.items():
        if key not in holdout:
            continue
        base, tuned, digits = holdout[key]["base"], holdout[key]["tuned"], DIGITS.get(key)
        texts = (
            (percent(base), percent(tuned), signed(100 * (tuned - base)))
            if digits is None
            else (f"{base:,.{digits}f}", f"{tuned:,.{digits}f}", signed(tuned - base, digits))
        )
        cells = dict(zip(("base", "tuned", "change"), texts, strict=True))
        tone = TONES.get(learned, "") if key in DIGITS else ""
        rows.append({"id": key, "name": name, "note": note, **cells, "tone": tone})
    interval = holdout.get("interval")
    sentence = (
        f"The change in loss lies between {signed(interval[0], 3)} and {signed(interval[1], 3)} with 95 % "
        f"confidence (p {equals(holdout['p_value'])}, {holdout['test']})."
        if interval
        else ""
    )
    return {
        "columns": {"name": "score", "base": "base", "tuned": "tuned", "change": "change"},
        "rows": rows,
        "note": f"{counted(holdout['n'], 'held-out row')}, {counted(holdout['tokens'], 'token')} of answers",
        "generated": counted(holdout["generated"], "row") if holdout["generated"] else "",
        "sentence": sentence,
        "wording": wording(holdout, learned),
    }


def wording(holdout: Figures, learned: str) -> str:
    """Return what a lower loss alone means; empty where more answers became right, or none was generated."""
    right = [holdout[name] for name in ("exact_match", "contains") if name in holdout]
    if learned != "learned" or not right or any(score["tuned"] > score["base"] for score in right):
        return ""
    alike = [holdout[name] for name in ("f1", "rouge_l", "bleu") if name in holdout]
    if any(score["tuned"] > score["base"] for score in alike):
        return "The answers are closer in wording to the references; not more of them are right."
    return "Only the loss fell: the answers did not come closer to the references, and not more are right."


def kept_table(compared: Mapping[str, Figures], groups: Iterable[str]) -> dict[str, Any]:
    """Return tasks as rows, groups first, and what fell in a sentence."""
    change = "points" if all(is_share(task) for task in compared.values()) else "change"
    columns = ("items", "base", "tuned", "change", "gained", "lost", "p", "reading")
    worse = [capital(task["title"]) for task in compared.values() if task["verdict"] == "worse"]
    return {
        "columns": {"name": "task", **{name: name for name in columns}, "change": change},
        "rows": [{"id": name, "group": name in groups, **cells(task)} for name, task in compared.items()],
        "note": "Both models answered the same items. Gained: became right; lost: became wrong.",
        "sentence": f"{listed(worse) or 'Nothing'} fell by more than expected by chance "
        "(p < 0.05, corrected for the number of tasks).",
    }


def cells(task: Figures) -> dict[str, str]:
    """Return a task's row."""
    share = is_share(task)
    return {
        "name": capital(task["title"]),
        "items": f"{task['n']:,}",
        "base": value(task, "base"),
        "tuned": value(task, "tuned"),
        "change": signed(100 * task["delta"]) if share else signed_plain(task["delta"]),
        **{key: NONE if task[key] is None else str(task[key]) for key in ("gained", "lost")},
        "p": p_text(task["p_value"]),
        "reading": READINGS[task["verdict"]],
        "tone": TONES.get(task["verdict"], ""),
    }


def value(task: Figures, which: str) -> str:
    """Return a task's value: shares as percent."""
    return percent(task[which]) if is_share(task) else f"{task[which]:.4g}"


def message(results: Figures) -> str:
    """Return the result on one line, as logs and `follow` show it: the headline, then a few figures."""
    parts = [results["summary"]["headline"].rstrip(".")]
    loss = (results["holdout"] or {}).get("loss")
    if loss:
        parts.append(f"held-out loss {loss['base']:.3f} before, {loss['tuned']:.3f} after")
    for task in list((results["groups"] or results["tasks"]).values())[:3]:
        parts.append(f"{task['title']} {value(task, 'base')} before, {value(task, 'tuned')} after")
    return "; ".join(parts)
