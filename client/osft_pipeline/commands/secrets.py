"""`osft secrets`: the Kubernetes Secrets that the chart reads."""

import base64
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from osft_pipeline.commands import SETTINGS
from osft_pipeline.kubectl import Kubectl, cluster_options, failure
from osft_pipeline.terminal import plain
from osft_workspace import UserError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A secret the chart can read."""

    name: str
    what: str
    keys: tuple[str, ...]
    optional: tuple[str, ...] = ()


SECRETS = {
    "hf": Wanted("hf-token", "Hugging Face token, for gated models and private data", ("HF_TOKEN",)),
    "s3": Wanted(
        "s3-secret",
        "keys of an S3 store",
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SESSION_TOKEN",),
    ),
    "registry": Wanted("registry-token", "token for the Model Registry", ("OSFT_REGISTRY_TOKEN",)),
    "wandb": Wanted("wandb-secret", "Weights & Biases key", ("WANDB_API_KEY",)),
    "mlflow": Wanted("mlflow-secret", "token for an MLflow server", ("MLFLOW_TRACKING_TOKEN",)),
}
CA = "registry-ca"
# Keys of the chart's values that name an optional key of a secret.
VALUE_OF_OPTIONAL = {"AWS_SESSION_TOKEN": "secrets.s3.keys.sessionToken"}
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def collect(wanted: Wanted) -> dict[str, str]:
    """Return values by key, from the environment or from a prompt. Raises UserError."""
    found = {}
    for key in (*wanted.keys, *wanted.optional):
        value = os.environ.get(key, "")
        if not value and key in wanted.keys:
            if not sys.stdin.isatty():
                raise UserError(f"{key} is not set, and stdin is not a terminal. Set it in the environment.")
            value = click.prompt(f"{key} ({wanted.what})", default="", hide_input=True, show_default=False)
            if not value:
                raise UserError(f"{key} is empty. Nothing was created.")
        if value != value.strip():
            raise UserError(f"{key} begins or ends with white space, which servers reject. Set it without.")
        if value:
            found[key] = value
    return found


def certificate(path: Path) -> dict[str, str]:
    """Return the CA of a registry as the data of a Secret. Raises UserError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--ca-file {path} cannot be read ({error}).") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise UserError(
            f"--ca-file {path} has no certificate, expected a PEM file. Name the file with the registry's CA."
        )
    return {"ca.crt": text}


def manifest(name: str, data: dict[str, str]) -> dict[str, Any]:
    """Return a Secret object."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "osft-pipeline"}},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def apply(objects: list[dict[str, Any]], kubectl: Kubectl) -> None:
    """Hand the objects to kubectl. Raises UserError or Transient."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    # Server-side, because client-side apply would keep the values in an annotation too.
    code, out, said = kubectl.call("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)
    if code != 0 and "forbidden" in said.lower():
        raise UserError(
            f"you are not allowed to create Secrets in namespace {kubectl.namespace()} ({plain(said)}). Ask "
            "for a Role with create and patch on secrets, or name another namespace with -n."
        )
    if code != 0:
        raise failure(said)
    print(out, end="")


def install_flags(names: dict[str, str], data: dict[str, dict[str, str]]) -> list[str]:
    """Return the helm flags that name the Secrets."""
    flags = [
        f"--set {'register.tls.caSecret' if which == CA else f'secrets.{which}.existing'}={name}"
        for which, name in names.items()
    ]
    for keys in data.values():
        flags += [f"--set {VALUE_OF_OPTIONAL[key]}={key}" for key in keys if key in VALUE_OF_OPTIONAL]
    return flags


@click.command(context_settings=SETTINGS)
@click.argument("which", nargs=-1, required=True, type=click.Choice(list(SECRETS)), metavar="WHICH...")
@cluster_options
@click.option("--prefix", default="", help="Put before each Secret's name.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="PEM file with the registry's CA.")
@click.option("--print", "only_print", is_flag=True, help="Write the manifest to stdout and create nothing.")
def main(which: Sequence[str], kubectl: Kubectl, prefix: str, ca_file: Path | None, only_print: bool) -> None:
    """Create the Kubernetes Secrets that the chart reads, from variables or from questions.

    \b
    WHICH is one or more of:
      hf        HF_TOKEN: Hugging Face token, for gated models and private data
      s3        AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN: keys of an S3 store
      registry  OSFT_REGISTRY_TOKEN: token for the Model Registry
      wandb     WANDB_API_KEY: Weights & Biases key
      mlflow    MLFLOW_TRACKING_TOKEN: token for an MLflow server

    Values are never arguments of a command: kubectl reads them from its standard input. An existing Secret is
    replaced. Names and keys are the chart's defaults; the last line shows the values to install with.

    \b
    osft secrets hf s3                       asks for what the environment does not have
    osft secrets registry --ca-file ca.pem   also makes the Secret with the registry's CA
    HF_TOKEN=... osft secrets hf --print     writes the manifest to stdout; nothing is created
    """
    names = {name: prefix + SECRETS[name].name for name in which}
    if ca_file:
        names[CA] = prefix + CA
    for name in names.values():
        if not NAME.fullmatch(name):
            raise UserError(f"{name!r} is not a valid name of a Secret: expected a-z, 0-9, dashes and dots.")
    # Everything is collected first: all Secrets are created, or none.
    data = {
        name: certificate(ca_file) if ca_file and name == CA else collect(SECRETS[name]) for name in names
    }
    objects = [manifest(names[name], data[name]) for name in names]
    if only_print:
        if any(flag.startswith("--namespace=") for flag in kubectl.flags):
            for thing in objects:
                thing["metadata"]["namespace"] = kubectl.namespace()
        print("\n---\n".join(json.dumps(thing, indent=2) for thing in objects))
        return
    apply(objects, kubectl)
    print("Install with: " + " ".join(install_flags(names, data)))
