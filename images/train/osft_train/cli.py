"""`osft-train`: the base model tuned on the checked rows."""

from pathlib import Path

import click

from osft_train.methods import OF_METHODS
from osft_train.options import Options
from osft_workspace import StageCommand, overwrite_option, stage_options
from osft_workspace.options import check_option, options_of
from osft_workspace.training_config import training_config_option


@click.command(cls=StageCommand, name="osft-train")
@stage_options
@overwrite_option
@check_option("OSFT_TRAIN_CHECK")
@training_config_option("train", OF_METHODS)
@options_of(Options, "OSFT_TRAIN_")
def main(workspace: Path, run_id: str, check: bool, run_overwrite: bool, options: Options) -> None:
    """Tune the base model so that what it knows stays.

    \b
    Reads the record of download. Leaves model/ (plain Hugging Face folder),
    metrics.jsonl, loss.svg, tensorboard/ and train.log in <workspace>/runs/<run id>/train.
    """
    from osft_train import stage

    if check:
        stage.check(workspace, run_id, options)
        return
    stage.start(workspace, run_id, options, overwrite=run_overwrite)
