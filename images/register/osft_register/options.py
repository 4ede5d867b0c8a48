"""The options of `osft-register`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from osft_workspace.options import Json, Number, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is registered, where and how."""

    address: str = option(
        "", "Model Registry's REST service: host, host:port or http(s)://host:port. Empty: skip."
    )
    port: int = option(
        0,
        "Port for an address without one. 0: 8080 for a bare host, otherwise the scheme's.",
        type=click.IntRange(0, 65535),
    )
    name: str = option("osft-model", "Name of the registered model.")
    version: str = option("", "Name of the version. Empty: the run id.")
    author: str = option("osft-pipeline", "Author of the version.")
    owner: str = option("", "Owner of the registered model. Empty: the author.")
    description: str = option("", "Description of the registered model.")
    version_description: str = option("", "Description of the version.")
    format_name: str = option("safetensors", "Model format.")
    format_version: str = option("1", "Version of the model format.")
    on_conflict: Literal["fail", "skip", "update", "new"] = option(
        "fail", "What to do if a version of another run has this name."
    )
    metadata: dict[str, Any] = option(
        {},
        "Custom properties of the version. An empty text makes a label.",
        type=Json(dict, '{"team": "search"}'),
    )
    claim: str = option("", "PVC that holds the workspace, for the model's URI.", env="OSFT_WORKSPACE_CLAIM")
    uri: str = option("", "URI of the model. Empty: pvc://CLAIM/runs/RUN/train/model, or train/adapter.")
    namespace: str = option("", "Namespace of the run, for provenance.")
    release: str = option("", "Helm release of the run, for provenance.")
    eval: bool = option(True, "Require that the run's eval stage has passed.")
    # How the server is reached, not what is registered: a new certificate does not make a new result.
    ca_file: Path | None = option(
        None, "PEM file of the CA that signed the registry's certificate.", decides=False
    )
    insecure_skip_tls_verify: bool = option(
        False,
        "Do not verify the registry's certificate. For tests only.",
        is_flag=True,
        decides=False,
    )
    token_file: Path | None = option(
        None, "File with the registry token. Empty: OSFT_REGISTRY_TOKEN.", decides=False
    )
    timeout_seconds: float = option(30.0, "Timeout of one request.", type=Number(min=0.1), decides=False)
