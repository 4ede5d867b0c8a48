"""`osft-register`: model card, provenance and one version in Kubeflow Model Registry."""

from dataclasses import replace
from pathlib import Path

import click

from osft_register.options import Options
from osft_workspace import Outcome, Run, StageCommand, UserError, run_stage, stage_options
from osft_workspace.options import check_option, inputs_of, options_of, say_checked
from osft_workspace.paths import CLAIM

LONGEST_NAME = 200  # the database keeps 255, with a number in front


@click.command(cls=StageCommand, name="osft-register")
@stage_options
@check_option("OSFT_REGISTER_CHECK")
@options_of(Options, "OSFT_REGISTER_")
def main(workspace: Path, run_id: str, check: bool, options: Options) -> None:
    """Write the model card and provenance of a run, and register its model once."""
    options = replace(options, version=options.version or run_id)
    check_options(options)
    if check:
        say_checked("register")
        return
    run_stage(
        "register",
        workspace,
        run_id,
        inputs=inputs_of(options),
        needs=("train", "eval") if options.eval else ("train",),
        body=lambda run: work(run, options),
    )


def check_options(options: Options) -> None:
    """Refuse what the registry could not keep, before any work. Raises UserError."""
    from osft_register.address import parse_address
    from osft_register.properties import check_metadata

    for key, value in (("name", options.name), ("version", options.version)):
        if value != value.strip() or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
            raise UserError(
                f"register.{key} is {value[:40]!r}: expected 1 to {LONGEST_NAME} characters, no line breaks, "
                "and no space at either end."
            )
    if options.claim and not CLAIM.fullmatch(options.claim):
        raise UserError(
            f"the claim (--claim) is {options.claim[:40]!r}: expected the PVC's name as kubectl shows it, "
            "lower-case letters, digits, '-' and '.'."
        )
    if options.address.strip():
        parse_address(options.address, options.port, tls=False)
    check_metadata(options.metadata)


def work(run: Run, options: Options) -> Outcome:
    """Return the stage's work; its libraries load only when there is work."""
    from osft_register.stage import register_run

    return register_run(run, options)
