"""The values that differ between runs, by their keys in the chart: from the inputs that records keep."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from osft_pipeline.compare.evidence import Evidence
from osft_pipeline.migrate.sources import HUB
from osft_pipeline.migrate.tables import tables
from osft_pipeline.misspelt import all_keys
from osft_pipeline.near import simple

SECTIONS = {"download": ("data", "model", ""), "train": ("train",), "eval": ("eval",)}
"""Stage -> the sections of the values that its options come from; the empty one is all of them."""
OTHERWISE = {
    "gpu_memory_gib": "preflight.training.gpuMemoryGiB",
    "extra": "train.extraArgs",
    "num_fewshot": "eval.fewshot",
    "quantization_type": "train.quantization.quantType",
    "quantization_double": "train.quantization.doubleQuant",
    "pretraining": "train.pretraining.enabled",
}
"""Options whose name is neither their key nor training_hub's name for it."""
NOT_VALUES = ("contents", "parent", "results_schema")
"""Inputs that no value sets: digests of rows and models, also those of an earlier run, and a version."""
LONGEST = 200  # characters of a value


@cache
def key_of(stage: str, option: str) -> str | None:
    """Return the key of the values that sets an option of a stage; None where no key does."""
    if option in OTHERWISE:
        return OTHERWISE[option]
    wanted = simple(option)
    for section in SECTIONS[stage]:
        start = f"{section}." if section else ""
        for key in all_keys():
            if key.startswith(start) and simple(key.removeprefix(start).replace(".", "")) == wanted:
                return key
    row = tables()[HUB].get(option)
    return row.ours or None if row else None


def values_of(evidence: Evidence) -> dict[str, Any]:
    """Return the values of a run by key, as far as its records know them.

    What the user left empty is what training settled on.
    """
    found: dict[str, Any] = {}
    for stage in SECTIONS:
        inputs = (evidence.records.get(stage) or {}).get("inputs") or {}
        settled = evidence.details(stage).get("arguments") or {}
        for option, value in inputs.items():
            key = None if option in NOT_VALUES else key_of(stage, option) or f"{stage} --{option}"
            if key:
                found.setdefault(key, settled.get(option) if value in (None, "") else value)
    return found


def differing(runs: Sequence[Evidence]) -> dict[str, dict[str, Any]]:
    """Return key -> run -> value of the values that are not the same in all runs that have them."""
    values = {one.run: values_of(one) for one in runs}
    keys = list(dict.fromkeys(key for found in values.values() for key in found))
    by_key = {key: {run: found[key] for run, found in values.items() if key in found} for key in keys}
    return {key: found for key, found in by_key.items() if len({*map(text, found.values())}) > 1}


def text(value: Any) -> str:
    """Return a value as it is shown."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    shown = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    shown = "(empty)" if value in ("", None) else shown
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}\u2026"
