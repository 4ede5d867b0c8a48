"""Custom properties with their types, as the registry's server and its official client can both read them."""

import json
from collections.abc import Mapping
from typing import Any

from osft_register.evidence import Evidence
from osft_workspace import UserError, redact_text

Property = dict[str, Any]

# The server keeps 32 bits and the official client refuses to read more than nine digits.
LARGEST_INT = 999_999_999
# A double holds every integer up to here.
LARGEST_EXACT = 2**53
LONGEST_KEY = 200
# What the pipeline writes; these are replaced as a whole, so that no figure of an older model stays behind.
RESERVED = ("osft_", "base_model", "data_", "training_", "eval_")
ARGUMENTS = (
    "unfreeze_rank_ratio", "effective_batch_size", "max_tokens_per_gpu", "max_seq_len", "learning_rate",
    "num_epochs", "seed", "lr_scheduler", "warmup_steps", "use_liger", "unmask_messages", "is_pretraining",
)  # fmt: skip


def typed(value: Any) -> Property:
    """A JSON value as a registry property; what has no type of its own there becomes JSON text."""
    if isinstance(value, bool):
        return {"metadataType": "MetadataBoolValue", "bool_value": value}
    if isinstance(value, int) and abs(value) <= LARGEST_INT:
        return {"metadataType": "MetadataIntValue", "int_value": str(value)}
    if isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST_EXACT):
        return {"metadataType": "MetadataDoubleValue", "double_value": float(value)}
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return {"metadataType": "MetadataStringValue", "string_value": redact_text(text)}


def plain(value: Property) -> Any:
    """The value inside a property."""
    return next((item for key, item in value.items() if key.endswith("_value")), None)


def prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys under one prefix, said once: `final_loss` -> `training_final_loss`, `training_seconds` stays."""
    return {key if key.startswith(f"{prefix}_") else f"{prefix}_{key}": item for key, item in values.items()}


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse keys that would mix with the pipeline's own, before anything is written.

    Raises:
        UserError: with every such key.
    """
    taken = sorted(key for key in metadata if key.startswith(RESERVED))
    if taken:
        raise UserError(
            f"register.metadata holds {', '.join(taken)}, but names that begin with {', '.join(RESERVED)} "
            "are the pipeline's own. Choose other names."
        )
    odd = [key for key in metadata if not key.strip() or len(key) > LONGEST_KEY]
    if odd:
        raise UserError(
            f"register.metadata holds {odd[0][:40]!r}: expected names of 1 to {LONGEST_KEY} characters."
        )


def version_properties(evidence: Evidence, metadata: Mapping[str, Any]) -> dict[str, Property]:
    """Everything a version says about itself; values without content are left out."""
    base, data = evidence.base, evidence.data
    ours = {
        **marks(evidence),
        "osft_evidence": evidence.digest,
        "osft_release": evidence.release,
        "osft_namespace": evidence.namespace,
        "base_model": base.get("uri"),
        "base_model_revision": base.get("revision"),
        "base_model_digest": base.get("digest"),
        "base_model_license": base.get("license"),
        "data_uri": " ".join(source["uri"] for source in data.get("sources", [])),
        "data_revision": " ".join(
            str(source.get("revision") or "") for source in data.get("sources", [])
        ).strip(),
        **{f"data_rows_{split}": count for split, count in data.get("rows", {}).items()},
        **{f"data_{name.removesuffix('.jsonl')}_sha256": sha for name, sha in evidence.data_files.items()},
        **prefixed("training", {key: evidence.arguments.get(key) for key in ARGUMENTS}),
        **prefixed("training", evidence.train.metrics),
        **eval_properties(evidence),
    }
    written = {key: typed(value) for key, value in ours.items() if value not in (None, "")}
    return written | {key: typed(value) for key, value in metadata.items() if value is not None}


def marks(evidence: Evidence) -> dict[str, str]:
    """What makes a version ours: the run and its model. To judge a model again makes no other version."""
    return {"osft_run_id": evidence.run_id, "osft_model_digest": evidence.model_digest}


def eval_properties(evidence: Evidence) -> dict[str, Any]:
    """Base, tuned and difference of every figure, each a number of its own."""
    results = evidence.results
    if results is None:
        return {"eval_done": False}
    found: dict[str, Any] = {
        "eval_done": True,
        "eval_gates_passed": results.get("gates", {}).get("passed"),
        "eval_primary_metric": evidence.primary_metric,
        "eval_tasks": ",".join(sorted(results.get("tasks", {}))),
    }
    for name, task in sorted(results.get("tasks", {}).items()):
        found |= {f"eval_{name}_{key}": task.get(key) for key in ("base", "tuned", "delta", "n", "p_value")}
    holdout = results.get("holdout") or {}
    for key, value in sorted(holdout.items()):
        if isinstance(value, Mapping):
            found |= {f"eval_holdout_{key}_{side}": value.get(side) for side in ("base", "tuned")}
            found[f"eval_holdout_{key}_delta"] = difference(value)
    return found


def difference(pair: Mapping[str, Any]) -> float | None:
    """Tuned minus base, or None where one of them is missing."""
    base, tuned = pair.get("base"), pair.get("tuned")
    return None if base is None or tuned is None else tuned - base


def merged(present: Mapping[str, Property], wanted: Mapping[str, Property]) -> dict[str, Property]:
    """What a version holds after an update: other people's properties stay, the pipeline's are replaced."""
    others = {key: value for key, value in present.items() if not key.startswith(RESERVED)}
    return others | dict(wanted)
