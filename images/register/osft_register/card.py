"""The model card: what a person needs to decide about a model and to load it.

Front matter as Hugging Face reads it. The same evidence gives the same bytes: no time of writing, no machine.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from osft_register.evidence import Evidence
from osft_register.front_matter import yaml_value
from osft_register.loading import loading
from osft_register.properties import ARGUMENTS
from osft_workspace.markdown import code, words
from osft_workspace.planned import planned_and_measured
from osft_workspace.text import LONGEST_SENTENCE

METHODS = {
    "osft": "orthogonal subspace fine-tuning (OSFT)",
    "sft": "full fine-tuning (SFT)",
    "lora": "low-rank adapters (LoRA)",
    "qlora": "low-rank adapters of a base model in 4 bits (QLoRA)",
}
FIGURE = re.compile(r"([-+]|< )?[0-9.,]+( %)?|-")
"""What acts in no cell of a table and needs no backslash."""


def hub_id(uri: str) -> str:
    """`org/name` of an hf:// address, else nothing: only those are links on a hub."""
    return uri.removeprefix("hf://").split("@")[0].split(":")[0] if uri.startswith("hf://") else ""


def front_matter(evidence: Evidence) -> str:
    """YAML for model hubs; every value is written as JSON, which is YAML with safe quotes."""
    # Of a chain the first one: a hub knows no folder of a workspace.
    origin, sources = evidence.first_base or evidence.base, evidence.data.get("sources", [])
    fields: dict[str, Any] = {
        "license": evidence.license,
        "base_model": hub_id(origin.get("uri", "")) or origin.get("uri"),
        "base_model_relation": "adapter" if evidence.tuned.base else "finetune",
        "datasets": sorted({hub_id(source["uri"]) for source in sources} - {""}),
        "library_name": "peft" if evidence.tuned.base else "transformers",
        "pipeline_tag": "text-generation",
        "tags": [str(evidence.train.details.get("method")), "osft-pipeline"],
    }
    lines = [f"{key}: {yaml_value(value)}" for key, value in fields.items() if value]
    return "\n".join(["---", *lines, "---"])


def cell(value: Any) -> str:
    """One value in a table; nothing in a name may break the row."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if FIGURE.fullmatch(str(value)) else words(str(value))


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a Markdown table of values."""
    return drawn(head, ([cell(value) for value in row] for row in rows))


def drawn(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table of cells."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(results: Mapping[str, Any] | None) -> list[str]:
    """Return what a reader must know first: the headline of the report, and what the gates made of it."""
    if results is None:
        return ["Not evaluated: the run had evaluation switched off."]
    summary = results["summary"]
    return [words(summary["headline"]), words(summary["gates"]["sentence"], LONGEST_SENTENCE)]


def figures(found: Mapping[str, Any] | None, missing: str) -> str:
    """Return a table of eval's summary with its note and its reading."""
    if not found:
        return missing
    columns = found["columns"]
    lines = [[cell(line[key]) for key in columns] for line in found["rows"]]
    for line, shown in zip(found["rows"], lines, strict=True):
        if shown and line.get("group"):
            shown[0] = f"**{shown[0]}**"
    parts = [words(found["note"]), drawn(columns.values(), lines), words(found["sentence"], LONGEST_SENTENCE)]
    return "\n\n".join(part for part in parts if part)


def evaluation(results: Mapping[str, Any] | None) -> list[str]:
    """Return the sections that eval's summary fills."""
    if results is None:
        return []
    summary, gates = results["summary"], results["summary"]["gates"]
    rules = [f"- {words(rule)}" for rule in gates["rules"]]
    left_out = [f"- {words(entry, LONGEST_SENTENCE)}" for entry in summary["left_out"]]
    return [
        *(["## Which model goes on", words(summary["mix"], LONGEST_SENTENCE)] if summary.get("mix") else []),
        "## What was kept",
        figures(summary["tables"]["kept"], "Not measured: no tasks."),
        *(["## Earlier tasks", earlier(summary["chain"])] if summary.get("chain") else []),
        "## What was learned",
        figures(summary["tables"]["learned"], "Not measured: no held-out rows."),
        "## Gates",
        words(gates["sentence"], LONGEST_SENTENCE),
        *(["\n".join(rules)] if rules else []),
        *([words(gates["room"])] if gates["room"] not in ("", gates["why"]) else []),
        *(["Left out, or not judged:\n\n" + "\n".join(left_out)] if left_out else []),
    ]


def earlier(chain: Mapping[str, Any]) -> str:
    """Return what became of the earlier tasks of a chain."""
    matrix = chain["matrix"]
    parts = [
        words(chain["line"], LONGEST_SENTENCE),
        figures(chain, ""),
        table(matrix["columns"], matrix["rows"]),
    ]
    first = "\n".join(f"- {words(entry, LONGEST_SENTENCE)}" for entry in chain["first"])
    return "\n\n".join([*parts, *([first] if first else [])])


def chain(evidence: Evidence) -> list[str]:
    """Return which run the model continues, and where the chain began, if it continues one."""
    if not evidence.chain:
        return []
    parent, first = evidence.chain[-1], evidence.first_base
    version = f", version {code(evidence.parent_version)}" if evidence.parent_version else ""
    runs = ", ".join(f"`{link['run']}`" for link in evidence.chain)
    return [
        f"It continues run `{parent['run']}`{version}. Its chain is {runs}, and began with "
        f"{code(str(first.get('uri')))} (`{first.get('digest')}`)."
    ]


ROWS = {
    "train": "trained on",
    "validation": "set apart to validate during training",
    "eval": "held out for evaluation",
    "dropped_short": "dropped: fewer tokens than data.minTokens",
    "dropped_long": "dropped: as many tokens as train.maxSequenceLength, or more",
    "dropped_silent": "dropped: no token to learn",
    "dropped_overlap": "dropped: held out, and also trained on",
    "rejected": "rejected",
    "unused": "not used (data.subset)",
}
"""What became of a row -> how the card says it."""


def training(evidence: Evidence) -> str:
    """Return what the model was trained on and how."""
    sources = [[s["uri"], s.get("revision"), s.get("rows")] for s in evidence.data.get("sources", [])]
    rows = [[text, evidence.rows[name]] for name, text in ROWS.items() if name in evidence.rows]
    given = [[key, evidence.arguments[key]] for key in ARGUMENTS if evidence.arguments.get(key) is not None]
    taken = planned_and_measured(evidence.train)
    mark = f"The end-of-turn mark is {code(evidence.end_of_turn)}." if evidence.end_of_turn else ""
    parts = [
        table(["source", "revision", "rows read"], sources),
        table(["what became of the rows", "rows"], rows),
        mark,
        table(["argument", "value"], given),
        table(["what it took", "planned and measured"], taken.items()) if taken else "",
    ]
    return "\n\n".join(part for part in parts if part)


def method(evidence: Evidence) -> str:
    """Return how it was tuned, in words."""
    name = str(evidence.train.details.get("method"))
    merged = ", merged" if evidence.adapter and not evidence.tuned.base else ""
    return METHODS.get(name, code(name)) + merged


def model_card(evidence: Evidence, *, name: str, description: str, uri: str) -> str:
    """Return the whole card."""
    base = evidence.base
    revision = f" at revision {code(str(base['revision']))}" if base.get("revision") else ""
    return "\n\n".join(
        [
            front_matter(evidence),
            f"# {words(name)}",
            *verdict(evidence.results),
            *([words(description, LONGEST_SENTENCE)] if description else []),
            f"{code(str(base.get('uri')))}{revision}, fine-tuned by {method(evidence)} in run "
            f"`{evidence.run_id}` of osft-pipeline.",
            *chain(evidence),
            *evaluation(evidence.results),
            "## How it was trained",
            training(evidence),
            "## How to load it",
            loading(evidence, uri),
            "## Provenance",
            f"Model `{evidence.model_digest}`, base {code(str(base.get('digest')))}, evidence "
            f"`{evidence.digest}`. Digests of every file are in `provenance.json` beside this card.\n",
        ]
    )
