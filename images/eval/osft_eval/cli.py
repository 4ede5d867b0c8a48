"""`osft-eval`: what the tuned model learned and what it kept, against its base on the same items."""

from pathlib import Path

import click

from osft_eval.options import Options
from osft_workspace import Outcome, Run, StageCommand, overwrite_option, run_stage, stage_options
from osft_workspace.contents import RESULTS_SCHEMA
from osft_workspace.options import check_option, inputs_of, options_of


@click.command(cls=StageCommand, name="osft-eval")
@stage_options
@overwrite_option
@check_option("OSFT_EVAL_CHECK")
@options_of(Options, "OSFT_EVAL_")
def main(workspace: Path, run_id: str, check: bool, run_overwrite: bool, options: Options) -> None:
    """Compare the tuned model with its base: tasks, held-out rows, gates and the report."""
    if check:
        from osft_eval.check import check as check_options

        check_options(options)
        return
    from osft_eval.problems import option_problems, refuse

    refuse([*option_problems(options)])

    def body(run: Run) -> Outcome:
        from osft_eval.stage import evaluate

        return evaluate(run, options)

    inputs = {**inputs_of(options), "results_schema": RESULTS_SCHEMA}
    run_stage(
        "eval",
        workspace,
        run_id,
        inputs=inputs,
        needs=("train", "download"),
        body=body,
        keep=("work",),
        overwrite=run_overwrite,
    )
