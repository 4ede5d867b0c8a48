"""The model card: what a person needs to decide about a model and to load it.

Front matter as Hugging Face reads it. The same evidence gives the same bytes: no times, no machine.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from osft_register.evidence import Evidence
from osft_register.properties import ARGUMENTS, difference


def hub_id(uri: str) -> str:
    """`org/name` of an hf:// address, else nothing: only those are links on a hub."""
    return uri.removeprefix("hf://").split("@")[0].split(":")[0] if uri.startswith("hf://") else ""


def front_matter(evidence: Evidence) -> str:
    """YAML for model hubs; every value is written as JSON, which is YAML with safe quotes."""
    base, sources = evidence.base, evidence.data.get("sources", [])
    fields: dict[str, Any] = {
        "license": base.get("license"),
        "base_model": hub_id(base.get("uri", "")) or base.get("uri"),
        "base_model_relation": "finetune",
        "datasets": sorted({hub_id(source["uri"]) for source in sources} - {""}),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["osft", "osft-pipeline", "continual-learning"],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items() if value]
    return "\n".join(["---", *lines, "---"])


def cell(value: Any) -> str:
    """One value in a table; a bar or a line break in a name must not break the row."""
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def learned(holdout: Mapping[str, Any] | None) -> str:
    """What was learned: held-out rows, base against tuned."""
    if not holdout:
        return "Not measured: no held-out rows."
    pairs = {key: value for key, value in sorted(holdout.items()) if isinstance(value, Mapping)}
    rows = ([key, pair.get("base"), pair.get("tuned"), difference(pair)] for key, pair in pairs.items())
    head = f"{holdout.get('n')} held-out rows"
    generated = f"; generated answers on {holdout['generated']} of them" if holdout.get("generated") else ""
    return f"{head}{generated}.\n\n{table(['measure', 'base', 'tuned', 'change'], rows)}"


def kept(tasks: Mapping[str, Any]) -> str:
    """What was kept: every task, base against tuned on the same items."""
    if not tasks:
        return "Not measured: no tasks."
    keys = ("metric", "n", "base", "tuned", "delta", "gained", "lost", "p_value")
    rows = (
        [task.get("title") or name, *(task.get(key) for key in keys)] for name, task in sorted(tasks.items())
    )
    head = ["task", "metric", "items", "base", "tuned", "change", "gained", "lost", "p"]
    return f"Base and tuned on the same items.\n\n{table(head, rows)}"


def evaluation(results: Mapping[str, Any] | None) -> list[str]:
    """The sections that eval's results fill."""
    if results is None:
        return ["## Evaluation", "Not evaluated: the run had evaluation switched off."]
    gates = results.get("gates") or {}
    failures = "".join(f"\n- {sentence}" for sentence in gates.get("failures", []))
    verdict = "Passed." if gates.get("passed") else f"Not passed:{failures}"
    rules = f" Rules: `{json.dumps(gates.get('rules') or {}, sort_keys=True)}`."
    skipped = [f"- {item['what']}: {item['reason']}" for item in results.get("skipped", [])]
    return [
        "## What was learned",
        learned(results.get("holdout")),
        "## What was kept",
        kept(results.get("tasks") or {}),
        "## Gates",
        verdict + rules,
        *(["Left out, or not judged:\n\n" + "\n".join(skipped)] if skipped else []),
    ]


def training(evidence: Evidence) -> str:
    """What the model was trained on and how."""
    rows = [[key, evidence.arguments[key]] for key in ARGUMENTS if evidence.arguments.get(key) is not None]
    data = [[s["uri"], s.get("revision"), s.get("rows")] for s in evidence.data.get("sources", [])]
    return f"{table(['source', 'revision', 'rows'], data)}\n\n{table(['argument', 'value'], rows)}"


def loading(evidence: Evidence, uri: str) -> str:
    """Lines that load the model, as a reader would paste them."""
    path = f"runs/{evidence.run_id}/{evidence.model_path}"
    place = (
        f"The model lies at `{uri}` (KServe: `storageUri`)." if uri else "The model lies in its workspace."
    )
    return f"""{place} Below, `WORKSPACE` is where that volume is mounted.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

path = "WORKSPACE/{path}"
tokenizer = AutoTokenizer.from_pretrained(path)
model = AutoModelForCausalLM.from_pretrained(path)
messages = [{{"role": "user", "content": "Hello"}}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=100)[0], skip_special_tokens=True))
```

```sh
vllm serve WORKSPACE/{path}
```"""


def model_card(evidence: Evidence, *, name: str, description: str, uri: str) -> str:
    """The whole card."""
    base = evidence.base
    revision = f" at revision `{base['revision']}`" if base.get("revision") else ""
    return "\n\n".join(
        [
            front_matter(evidence),
            f"# {name}",
            *([description] if description else []),
            f"`{base.get('uri')}`{revision}, fine-tuned by orthogonal subspace fine-tuning (OSFT) in run "
            f"`{evidence.run_id}` of osft-pipeline.",
            *evaluation(evidence.results),
            "## How it was trained",
            training(evidence),
            "## How to load it",
            loading(evidence, uri),
            "## Provenance",
            f"Model `{evidence.model_digest}`, base `{base.get('digest')}`, evidence `{evidence.digest}`. "
            "Digests of every file are in `provenance.json` beside this card.\n",
        ]
    )
