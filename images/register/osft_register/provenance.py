"""provenance.json: digests of everything that a model came from. Equal evidence gives equal bytes."""

from typing import Any

from osft_register.evidence import Evidence
from osft_workspace import Record
from osft_workspace.redact import redact_value
from osft_workspace.text import json_text

SCHEMA = "osft-pipeline/provenance/v1"


def stage(record: Record) -> dict[str, Any]:
    """Return what one stage contributed."""
    return {
        "record": record.digest,
        "inputs": record.inputs,
        "inputs_digest": record.inputs_digest,
        "choices": record.choices,
        "versions": record.versions,
        "outputs": record.outputs,
    }


def provenance(evidence: Evidence, uri: str) -> str:
    """Return the whole file as text."""
    records = [evidence.download, evidence.train, *([evidence.eval] if evidence.eval else [])]
    content = {
        "schema": SCHEMA,
        "run_id": evidence.run_id,
        "release": evidence.release,
        "namespace": evidence.namespace,
        "evidence": evidence.digest,
        "model": {
            "uri": uri,
            "kind": evidence.tuned.kind,
            "path": f"runs/{evidence.run_id}/{evidence.model_path}",
            "digest": evidence.model_digest,
            "files": evidence.model_files,
        },
        "base": evidence.base,
        **({"chain": evidence.chain} if evidence.chain else {}),
        "data": {"sources": evidence.data.get("sources"), "files": evidence.data_files},
        "evaluation": evidence.results,
        "stages": {record.stage: stage(record) for record in records},
    }
    return json_text(redact_value(content), indent=1, sort_keys=True) + "\n"
