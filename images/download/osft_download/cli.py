"""`osft-download`: rows and base model into the workspace, checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from osft_workspace import Outcome, Run, StageCommand, Workspace, overwrite_option, run_stage, stage_options
from osft_workspace.options import Json, Number, check_option, say_checked

FORMATS = (
    *("auto", "messages", "conversations", "prompt-completion", "instruction", "processed", "document"),
)
Command = Callable[..., None]
NOT_DECIDING = ("timeout_seconds", "show_rows")


class ColumnNames(Json):
    """Our names of columns -> the data's names."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text, or say what is wrong with it."""
        from osft_download.formats import COLUMNS
        from osft_workspace.text import excerpt

        found = super().convert(value, param, ctx)
        if not all(isinstance(item, str) for item in found.values()):
            self.fail(f"{value!r} is not a map of texts, expected like {self.example}.", param, ctx)
        if unknown := sorted(set(found) - set(COLUMNS)):
            self.fail(f"unknown column {', '.join(unknown)}, expected {', '.join(COLUMNS)}", param, ctx)
        if empty := [name for name, column in found.items() if not column.strip()]:
            what = f"{empty[0]} has an empty name, expected the name of a column of the data"
            self.fail(f"{what}. Set it in data.columns, or leave {empty[0]} out.", param, ctx)
        for column in found.values():
            same = [name for name in found if found[name] == column]
            if len(same) > 1:
                what = f"{' and '.join(same)} are both the column {excerpt(column, 40)!r}"
                self.fail(f"{what}, expected one column for each. Correct data.columns.", param, ctx)
        return found


def option(name: str, env: str, **more: Any) -> Callable[[Command], Command]:
    """Return an option with its environment name and default in `--help`."""
    return click.option(name, envvar=env, show_envvar=True, show_default=True, **more)


@click.command(cls=StageCommand, name="osft-download")
@stage_options
@overwrite_option
@check_option("OSFT_DOWNLOAD_CHECK")
@option(
    "--uri",
    "OSFT_DATA_URI",
    multiple=True,
    help="Rows to train on; repeat the option to join several sources: "
    "hf://org/name[:config][@revision], s3://bucket/key, https://..., pvc://claim/path, an absolute path.",
)
@option(
    "--eval-uri",
    "OSFT_DATA_EVAL_URI",
    multiple=True,
    help="Rows to evaluate on; then all rows of --uri are used for training.",
)
@option("--config", "OSFT_DATA_CONFIG", default="", help="Config of a hub dataset.")
@option("--revision", "OSFT_DATA_REVISION", default="", help="Branch, tag or commit of a hub dataset.")
@option(
    "--split",
    "OSFT_DATA_SPLIT",
    default="",
    help="Split of a hub dataset, a folder or a prefix. Empty: the first that is there of train_sft, "
    "train_gen, train, training.",
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
    help="Share of the rows to train on; the others are held out. 1: hold none out.",
)
@option(
    "--subset",
    "OSFT_DATA_SUBSET",
    type=click.IntRange(0),
    default=0,
    help="Number of rows to use, selected with the seed. 0: all.",
)
@option(
    "--shuffle/--no-shuffle",
    "OSFT_DATA_SHUFFLE",
    default=True,
    help="Shuffle with the seed. Without it the last rows are held out.",
)
@option("--seed", "OSFT_DATA_SEED", type=int, default=42, help="Seed of --shuffle and --subset.")
@option(
    "--on-invalid",
    "OSFT_DATA_ON_INVALID",
    type=click.Choice(["fail", "drop"]),
    default="fail",
    help="What to do with rejected rows. fail: read all rows, list up to 10,000 rejected ones, count the "
    "rest, and end with an error. drop: list all and continue without them.",
)
@option(
    "--max-invalid",
    "OSFT_DATA_MAX_INVALID",
    type=click.IntRange(0),
    default=1000,
    help="Largest number of rejected rows with --on-invalid drop; one more ends the stage with an error. 0: "
    "no limit.",
)
@option(
    "--overlap",
    "OSFT_DATA_OVERLAP",
    type=click.Choice(["drop", "warn", "fail"]),
    default="drop",
    help="Held-out rows that are also among the rows to train on. drop: use them for training only. warn: "
    "keep both and report the number. fail: end with an error.",
)
@option(
    "--system-role",
    "OSFT_DATA_SYSTEM_ROLE",
    type=click.Choice(["keep", "merge"]),
    default="keep",
    help="System messages that the model's chat template does not accept. keep: reject the row. merge: move "
    "the message into the first user message.",
)
@option(
    "--unmask-messages/--no-unmask-messages",
    "OSFT_DATA_UNMASK_MESSAGES",
    default=False,
    help="Learn from all messages except the system's, not only from the assistant's.",
)
@option(
    "--pretraining/--no-pretraining",
    "OSFT_DATA_PRETRAINING",
    default=None,
    help="Expect documents, to train on as plain text; the stage fails on other rows.",
)
@option(
    "--min-tokens",
    "OSFT_DATA_MIN_TOKENS",
    type=click.IntRange(0),
    default=20,
    help="Chats of fewer tokens are dropped. 0: none. 20 is training_hub's limit.",
)
@option(
    "--max-seq-len",
    "OSFT_DATA_MAX_SEQ_LEN",
    type=click.IntRange(0),
    default=8192,
    help="Rows of this many tokens or more are dropped. 0: none.",
)
@option(
    "--show-rows",
    "OSFT_DATA_SHOW_ROWS",
    type=click.IntRange(0, 3),
    default=0,
    help="Print this many rows to train on as the model reads them, with the learned text in [[ ]].",
)
@option(
    "--s3-endpoint", "OSFT_DATA_S3_ENDPOINT", default="", help="URL of an S3-compatible server. Empty: AWS."
)
@option("--s3-region", "OSFT_DATA_S3_REGION", default="", help="Region of the bucket.")
@option(
    "--timeout-seconds",
    "OSFT_DATA_TIMEOUT_SECONDS",
    type=Number(1),
    default=60.0,
    help="Longest time without data from a server.",
)
@option(
    "--model-uri",
    "OSFT_MODEL_URI",
    default="hf://Qwen/Qwen2.5-1.5B-Instruct",
    help="Base model: hf://org/name[@revision], pvc://claim/path or an absolute path.",
)
@option("--model-revision", "OSFT_MODEL_REVISION", default="", help="Branch, tag or commit of a hub model.")
@option(
    "--trust-remote-code/--no-trust-remote-code",
    "OSFT_MODEL_TRUST_REMOTE_CODE",
    default=False,
    help="Run Python code that comes with the model. Only for models you trust.",
)
@option(
    "--resize-embeddings/--no-resize-embeddings",
    "OSFT_MODEL_RESIZE_EMBEDDINGS",
    default=False,
    help="Accept a tokenizer with more tokens than the model has embeddings; training adds the missing rows.",
)
def main(workspace: Path, run_id: str, check: bool, run_overwrite: bool, **given: Any) -> None:
    """Check every row, split the rows once, and store the base model in the cache.

    \b
    Writes train.jsonl, eval.jsonl and rejected.jsonl to <workspace>/runs/<run id>/download
    and the model to <workspace>/cache/models. Secrets are read only from the environment:
    HF_TOKEN, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. HF_ENDPOINT
    sets another hub.
    """
    from osft_download.published import shown
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
    options = Options.of(given)
    if check:
        say_checked("download")
        return
    inputs = {name: value for name, value in given.items() if name not in NOT_DECIDING}
    idle = unused(given, options)
    inputs["contents"] = contents(Workspace(workspace.resolve()), run_id, inputs, options)

    def body(run: Run) -> Outcome:
        for sentence in idle:
            run.event("an option has no effect", seen=sentence)
        return download(run, options)

    record = run_stage(
        "download", workspace, run_id, inputs=inputs, needs=(), body=body, overwrite=run_overwrite
    )
    for text in shown(record.details["tokens"]["preview"][: options.show_rows]):
        click.echo(text)
