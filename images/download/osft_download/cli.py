"""`osft-download`: rows and base model into the workspace, checked."""

from functools import partial
from pathlib import Path

import click

from osft_download.options import Options
from osft_workspace import (
    Outcome,
    Run,
    StageCommand,
    UserError,
    Workspace,
    event,
    overwrite_option,
    run_stage,
    stage_options,
)
from osft_workspace.benchmarks import Wanted
from osft_workspace.options import check_option, inputs_of, options_of, say_checked
from osft_workspace.record import Record
from osft_workspace.training_config import note, training_config_option


@click.command(cls=StageCommand, name="osft-download")
@stage_options
@overwrite_option
@check_option("OSFT_DOWNLOAD_CHECK")
@training_config_option("download")
@options_of(Options, "OSFT_DATA_")
def main(workspace: Path, run_id: str, check: bool, run_overwrite: bool, options: Options) -> None:
    """Check every row, split the rows once, and store the base model in the cache.

    \b
    Writes train.jsonl, eval.jsonl and rejected.jsonl to <workspace>/runs/<run id>/download
    and the model to <workspace>/cache/models. Secrets are read only from the environment:
    HF_TOKEN, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. HF_ENDPOINT
    sets another hub.
    """
    from osft_download.published import shown
    from osft_download.stage import Addresses

    if not options.uri:
        raise UserError(
            "there is no data to train on: data.uri is empty. Set it (--uri, OSFT_DATA_URI) to "
            "hf://<org>/<dataset>, s3://<bucket>/<key>, https://<address>, pvc://<claim>/<path> or an "
            "absolute path."
        )
    asked = benchmarks_of(options)
    if check:
        Addresses.of(options)
        say_checked("download")
        return
    record = downloaded(Workspace(workspace.resolve()), run_id, options, overwrite=run_overwrite)
    # After the record: what was fetched stays, whatever the training and the evaluation are changed to.
    look_ahead(record, Workspace(workspace.resolve()), options, asked)
    for text in shown(record.details["tokens"]["preview"][: options.show_rows]):
        click.echo(text)


def downloaded(workspace: Workspace, run_id: str, options: Options, *, overwrite: bool) -> Record:
    """Run the stage, unless it is already done; return its record."""
    from osft_download import parent
    from osft_download.seen import contents
    from osft_download.stage import Addresses, download
    from osft_download.unused import unused

    options, chain = parent.continued(workspace, run_id, options)
    addresses = Addresses.of(options)
    idle = unused(options, addresses)
    inputs = parent.inputs_of(inputs_of(options), chain)
    inputs["contents"] = contents(workspace, run_id, inputs, addresses)

    def body(run: Run) -> Outcome:
        note(run)
        for sentence in idle:
            run.event("an option has no effect", seen=sentence)
        return download(run, options, addresses, chain)

    return run_stage(
        "download", workspace.root, run_id, inputs=inputs, needs=(), body=body, overwrite=overwrite
    )


def look_ahead(record: Record, workspace: Workspace, options: Options, asked: list[Wanted]) -> None:
    """Check the plan of the training, and bring what the evaluation will ask.

    Raises:
        UserError, Transient: the training does not fit its limits, or a benchmark could not be fetched.
    """
    if options.training or options.training_limits:
        from osft_plan import check as plan

        plan.check(
            record, workspace.root, options.training, options.training_limits, partial(event, "download")
        )
    if asked:
        from osft_download.benchmarks import staging

        after = Run("download", record.run_id, workspace, record.dir, {})
        staging.stage_all(after, asked, options.timeout_seconds)


def benchmarks_of(options: Options) -> list[Wanted]:
    """Return what the evaluation's tasks ask of the hub. Raises UserError for what cannot be downloaded."""
    if not options.benchmarks:
        return []
    from osft_download.benchmarks.wanted import wanted_by

    return wanted_by(options.benchmarks, options.benchmarks_include_path, options.benchmark_revisions)
