"""Custom properties with their types, as the registry's server and its official client can both read them."""

import json
from collections.abc import Mapping
from typing import Any

from osft_register.evidence import Evidence
from osft_workspace import UserError, excerpt, printable
from osft_workspace.redact import redact_value
from osft_workspace.text import LONGEST_SENTENCE, field

Property = dict[str, Any]

# The server keeps 32 bits and the official client refuses to read more than nine digits.
LARGEST_INT = 999_999_999
# A double holds every integer up to here.
LARGEST_EXACT = 2**53
LONGEST_KEY = 200
# What the pipeline writes; these are replaced as a whole, so that no figure of an older model stays behind.
RESERVED = ("osft_", "base_model", "data_", "training_", "eval_")
ARGUMENTS = (
    "unfreeze_rank_ratio", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_bias",
    "lora_use_dora", "lora_use_rslora", "quantization_type", "quantization_compute_dtype",
    "quantization_double", "effective_batch_size", "max_tokens_per_gpu", "max_seq_len", "learning_rate",
    "num_epochs", "seed", "lr_scheduler", "warmup_steps", "use_liger", "unmask_messages", "is_pretraining",
)  # fmt: skip
COMPARED = ("base", "tuned", "delta", "points", "n", "p_value", "verdict")
"""What a version says of each group and task."""
GATED = ("allowed", "used")


def typed(value: Any) -> Property:
    """Return a JSON value as a registry property; what has no type of its own there becomes JSON text."""
    if isinstance(value, bool):
        return {"metadataType": "MetadataBoolValue", "bool_value": value}
    if isinstance(value, int) and abs(value) <= LARGEST_INT:
        return {"metadataType": "MetadataIntValue", "int_value": str(value)}
    if isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST_EXACT):
        return {"metadataType": "MetadataDoubleValue", "double_value": float(value)}
    if isinstance(value, str):
        return {"metadataType": "MetadataStringValue", "string_value": field(value)}
    text = json.dumps(redact_value(value), sort_keys=True, ensure_ascii=False)
    return {"metadataType": "MetadataStringValue", "string_value": printable(text, LONGEST_SENTENCE)}


def plain(value: Property) -> Any:
    """Return the value inside a property."""
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
            f"register.metadata holds {excerpt(', '.join(taken))}, but names that begin with "
            f"{', '.join(RESERVED)} are reserved for the pipeline. Choose other names."
        )
    odd = [key for key in metadata if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable()]
    if odd:
        raise UserError(
            f"register.metadata holds '{excerpt(odd[0], 40)}': expected names of 1 to {LONGEST_KEY} "
            "printable characters. Choose another name."
        )


def version_properties(evidence: Evidence, metadata: Mapping[str, Any]) -> dict[str, Property]:
    """Everything a version says about itself; values without content are left out."""
    base, data = evidence.base, evidence.data
    ours = {
        **marks(evidence),
        "osft_evidence": evidence.digest,
        "osft_release": evidence.release,
        "osft_namespace": evidence.namespace,
        "osft_model_kind": evidence.tuned.kind,
        "base_model": base.get("uri"),
        "base_model_revision": base.get("revision"),
        "base_model_digest": base.get("digest"),
        "base_model_pvc_uri": evidence.base_uri,
        "base_model_license": evidence.license,
        "base_model_trust_remote_code": base.get("trust_remote_code") or None,
        "data_uri": " ".join(source["uri"] for source in data.get("sources", [])),
        "data_revision": " ".join(
            str(source.get("revision") or "") for source in data.get("sources", [])
        ).strip(),
        **{f"data_rows_{name}": count for name, count in evidence.rows.items()},
        "data_end_of_turn": evidence.end_of_turn,
        **{f"data_{name.removesuffix('.jsonl')}_sha256": sha for name, sha in evidence.data_files.items()},
        **prefixed("training", {key: evidence.arguments.get(key) for key in ARGUMENTS}),
        "osft_mix_share": evidence.mix_share,
        **chain_properties(evidence),
        "training_method": evidence.train.details.get("method"),
        **{f"training_adapter_{key}": evidence.adapter.get(key) for key in ("path", "digest")},
        **prefixed("training", evidence.training_metrics),
        **eval_properties(evidence),
    }
    written = {field(key): typed(value) for key, value in ours.items() if value not in (None, "")}
    return written | {field(key): typed(value) for key, value in metadata.items() if value is not None}


def chain_properties(evidence: Evidence) -> dict[str, Any]:
    """What a version says of the run that it continues, and of the first base model of the chain."""
    if not evidence.chain:
        return {}
    parent, first = evidence.chain[-1], evidence.first_base
    return {
        "osft_parent_run": parent["run"],
        "osft_parent_version": evidence.parent_version,
        "osft_parent_digest": parent["model"]["digest"],
        "osft_chain": ",".join(link["run"] for link in evidence.chain),
        "osft_first_base_model": first.get("uri"),
        "osft_first_base_model_digest": first.get("digest"),
    }


def marks(evidence: Evidence) -> dict[str, str]:
    """What makes a version ours: the run and its model. To judge a model again makes no other version."""
    return {"osft_run_id": evidence.run_id, "osft_model_digest": evidence.model_digest}


def eval_properties(evidence: Evidence) -> dict[str, Any]:
    """The verdict, what the gates allowed and used, and every figure as its own number, groups first."""
    results = evidence.results
    if results is None:
        return {"eval_done": False}
    summary, limits = results["summary"], results["gates"]["limits"]
    found: dict[str, Any] = {
        "eval_done": True,
        "eval_verdict": summary["verdict"],
        "eval_learned": summary["learned"],
        "eval_headline": summary["headline"],
        "eval_gates_passed": results["gates"]["passed"],
        "eval_gates": summary["gates"]["sentence"],
        **{f"eval_gates_{key}": value for key, value in (summary["gates"]["closest"] or {}).items()},
        "eval_mix": summary.get("mix"),
        "eval_primary_metric": evidence.primary_metric,
        "eval_groups": ",".join(sorted(results["groups"])),
        "eval_tasks": ",".join(sorted(results["tasks"])),
    }
    chain = results.get("chain") or {}
    found["eval_chain"] = (summary.get("chain") or {}).get("line")
    found |= {f"eval_chain_{key}": chain.get(key) for key in ("average_loss", "backward_transfer")}
    for part in ("groups", "tasks"):
        for name, task in sorted(results[part].items()):
            found |= {f"eval_{name}_{key}": task.get(key) for key in COMPARED}
            found |= {f"eval_{name}_gate_{key}": limits[name][key] for key in GATED if name in limits}
    holdout = results.get("holdout") or {}
    found["eval_holdout_rows"] = holdout.get("n")
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
