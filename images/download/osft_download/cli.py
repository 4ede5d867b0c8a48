"""`osft-download`: rows and base model into the workspace, checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from osft_workspace import Outcome, Run, StageCommand, Workspace, run_stage, stage_options
from osft_workspace.options import Json, Number

FORMATS = ("auto", "messages", "conversations", "prompt-completion", "processed", "document")
Command = Callable[..., None]
NOT_DECIDING = ("timeout_seconds",)


class ColumnNames(Json):
    """Our names of columns -> the data's names."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text, or say what is wrong with it."""
        from osft_download.formats import COLUMNS

        found = super().convert(value, param, ctx)
        if not all(isinstance(item, str) for item in found.values()):
            self.fail(f"{value!r} is no map of texts, expected like {self.example}.", param, ctx)
        if unknown := sorted(set(found) - set(COLUMNS)):
            self.fail(f"unknown column {', '.join(unknown)}, expected {', '.join(COLUMNS)}", param, ctx)
        return found


def option(name: str, env: str, **more: Any) -> Callable[[Command], Command]:
    """An option with its environment name and default in `--help`."""
    return click.option(name, envvar=env, show_envvar=True, show_default=True, **more)


@click.command(cls=StageCommand, name="osft-download")
@stage_options
@option(
    "--uri",
    "OSFT_DATA_URI",
    multiple=True,
    help="Rows to train on; give it several times to join sources: "
    "hf://org/name[:config][@revision], s3://bucket/key, https://..., pvc://claim/path, an absolute path.",
)
@option(
    "--eval-uri",
    "OSFT_DATA_EVAL_URI",
    multiple=True,
    help="Rows to evaluate on; then every other row trains.",
)
@option("--config", "OSFT_DATA_CONFIG", default="", help="Config of a hub dataset.")
@option("--revision", "OSFT_DATA_REVISION", default="", help="Branch, tag or commit of a hub dataset.")
@option(
    "--split",
    "OSFT_DATA_SPLIT",
    default="",
    help="Split of a hub dataset. Empty: the first that is there of train_sft, train_gen, train, training.",
)
@option(
    "--format",
    "OSFT_DATA_FORMAT",
    type=click.Choice(FORMATS),
    default="auto",
    help="Format of the rows; auto looks at each row's columns.",
)
@option(
    "--columns",
    "OSFT_DATA_COLUMNS",
    type=ColumnNames(dict, '{"messages": "chat"}'),
    default="{}",
    help='Names of the columns in the data, as JSON: {"prompt": "question", "completion": "answer"}.',
)
@option(
    "--train-fraction",
    "OSFT_DATA_TRAIN_FRACTION",
    type=Number(0, 1, min_open=True),
    default=0.9,
    help="Share of the rows that trains; 1 holds nothing out.",
)
@option(
    "--subset",
    "OSFT_DATA_SUBSET",
    type=click.IntRange(0),
    default=0,
    help="Rows to use, drawn with the seed; 0 uses all.",
)
@option(
    "--shuffle/--no-shuffle",
    "OSFT_DATA_SHUFFLE",
    default=True,
    help="Shuffle with the seed. Without it the last rows are held out.",
)
@option("--seed", "OSFT_DATA_SEED", type=int, default=42, help="Seed of shuffle and subset.")
@option(
    "--on-invalid",
    "OSFT_DATA_ON_INVALID",
    type=click.Choice(["fail", "drop"]),
    default="fail",
    help="What to do with rows that cannot be used.",
)
@option(
    "--max-invalid",
    "OSFT_DATA_MAX_INVALID",
    type=click.IntRange(0),
    default=1000,
    help="Bad rows before reading stops with an error; 0 has no limit.",
)
@option(
    "--s3-endpoint", "OSFT_DATA_S3_ENDPOINT", default="", help="URL of a server that speaks S3; empty is AWS."
)
@option("--s3-region", "OSFT_DATA_S3_REGION", default="", help="Region of the bucket.")
@option(
    "--timeout-seconds",
    "OSFT_DATA_TIMEOUT_SECONDS",
    type=Number(1),
    default=60.0,
    help="Longest silence of a server.",
)
@option(
    "--model-uri",
    "OSFT_MODEL_URI",
    default="hf://Qwen/Qwen2.5-1.5B-Instruct",
    help="Base model: hf://org/name[@revision], pvc://claim/path or an absolute path.",
)
@option("--model-revision", "OSFT_MODEL_REVISION", default="", help="Branch, tag or commit of a hub model.")
def main(workspace: Path, run_id: str, **given: Any) -> None:
    """Check every row, split them once, and bring the base model.

    \b
    Leaves train.jsonl, eval.jsonl and rejected.jsonl in <workspace>/runs/<run id>/download
    and the model in <workspace>/cache/models. Secrets come from the environment only:
    HF_TOKEN, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. HF_ENDPOINT
    names another hub.
    """
    from osft_download.seen import contents
    from osft_download.stage import Options, download
    from osft_download.unused import unused
    from osft_workspace import UserError

    if not given["uri"]:
        raise UserError(
            "there is no data to train on: data.uri is empty. Set it (--uri, OSFT_DATA_URI) to "
            "hf://<org>/<dataset>, s3://<bucket>/<key>, https://<address>, pvc://<claim>/<path> or an "
            "absolute path."
        )
    inputs = {name: value for name, value in given.items() if name not in NOT_DECIDING}
    inputs["contents"] = contents(Workspace(workspace.resolve()), run_id, inputs)
    options, idle = Options.of(given), unused(given)

    def body(run: Run) -> Outcome:
        for sentence in idle:
            run.event("an option changes nothing", seen=sentence)
        return download(run, options)

    run_stage("download", workspace, run_id, inputs=inputs, needs=(), body=body)
