"""`osft-register`: model card, provenance and one version in Kubeflow Model Registry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from osft_workspace import Outcome, Run, StageCommand, UserError, run_stage, stage_options
from osft_workspace.options import Json, Number, check_option, say_checked
from osft_workspace.paths import CLAIM

Function = TypeVar("Function", bound=Callable[..., Any])
LONGEST_NAME = 200  # the database keeps 255, with a number in front
# How the server is reached, not what is registered: a new certificate does not make a new result.
CONNECTION = ("ca_file", "insecure_skip_tls_verify", "token_file", "timeout_seconds")


def option(name: str, default: Any, text: str, env: str = "", **more: Any) -> Callable[[Function], Function]:
    """One option with its environment name."""
    variable = env or "OSFT_REGISTER_" + name.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(
        name, default=default, envvar=variable, show_envvar=True, show_default=True, help=text, **more
    )


@click.command(cls=StageCommand, name="osft-register")
@stage_options
@check_option("OSFT_REGISTER_CHECK")
@option(
    "--address", "", "Model Registry's REST service: host, host:port or http(s)://host:port. Empty: skip."
)
@option("--port", 0, "Port for an address without one. 0: 8080 for a bare host, otherwise the scheme's.",
        type=click.IntRange(0, 65535))  # fmt: skip
@option("--name", "osft-model", "Name of the registered model.")
@option("--version", "", "Name of the version. Empty: the run id.")
@option("--author", "osft-pipeline", "Author of the version.")
@option("--owner", "", "Owner of the registered model. Empty: the author.")
@option("--description", "", "Description of the registered model.")
@option("--version-description", "", "Description of the version.")
@option("--format-name", "safetensors", "Model format.")
@option("--format-version", "1", "Version of the model format.")
@option(
    "--on-conflict", "fail", "What to do if a version of another run has this name.",
    type=click.Choice(["fail", "skip", "update", "new"]),
)  # fmt: skip
@option(
    "--metadata",
    "{}",
    "Custom properties of the version. An empty text makes a label.",
    type=Json(dict, '{"team": "search"}'),
)
@option("--claim", "", "PVC that holds the workspace, for the model's URI.", env="OSFT_WORKSPACE_CLAIM")
@option("--uri", "", "URI of the model. Empty: pvc://CLAIM/runs/RUN/train/model.")
@option("--namespace", "", "Namespace of the run, for provenance.")
@option("--release", "", "Helm release of the run, for provenance.")
@option("--eval/--no-eval", True, "Require that the run's eval stage has passed.")
@option("--ca-file", None, "PEM file of the CA that signed the registry's certificate.",
        type=click.Path(path_type=Path))  # fmt: skip
@option(
    "--insecure-skip-tls-verify",
    False,
    "Do not verify the registry's certificate. For tests only.",
    is_flag=True,
)
@option("--token-file", None, "File with the registry token. Empty: OSFT_REGISTRY_TOKEN.",
        type=click.Path(path_type=Path))  # fmt: skip
@option("--timeout-seconds", 30.0, "Timeout of one request.", type=Number(min=0.1))
def main(workspace: Path, run_id: str, check: bool, **options: Any) -> None:
    """Write the model card and provenance of a run, and register its model once."""
    options["version"] = options["version"] or run_id
    check_options(options)
    if check:
        say_checked("register")
        return
    run_stage(
        "register",
        workspace,
        run_id,
        inputs={key: value for key, value in options.items() if key not in CONNECTION},
        needs=("train", "eval") if options["eval"] else ("train",),
        body=lambda run: work(run, options),
    )


def check_options(options: dict[str, Any]) -> None:
    """Refuse what the registry could not keep, before any work. Raises UserError."""
    from osft_register.address import parse_address
    from osft_register.properties import check_metadata

    for key in ("name", "version"):
        value = options[key]
        if value != value.strip() or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
            raise UserError(
                f"register.{key} is {value[:40]!r}: expected 1 to {LONGEST_NAME} characters, no line breaks, "
                "and no space at either end."
            )
    if options["claim"] and not CLAIM.fullmatch(options["claim"]):
        raise UserError(
            f"the claim (--claim) is {options['claim'][:40]!r}: expected the PVC's name as kubectl shows it, "
            "lower-case letters, digits, '-' and '.'."
        )
    if options["address"].strip():
        parse_address(options["address"], options["port"], tls=False)
    check_metadata(options["metadata"])


def work(run: Run, options: dict[str, Any]) -> Outcome:
    """Return the stage's work; its libraries load only when there is work."""
    from osft_register.stage import register_run

    return register_run(run, options)
