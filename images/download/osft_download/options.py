"""The options of `osft-download`."""

from dataclasses import dataclass
from typing import Any, Literal

import click

from osft_workspace.options import Json, Number, Texts, option


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where rows and base model come from, and which rows are used."""

    uri: tuple[str, ...] = option(
        (),
        "Rows to train on; repeat the option to join several sources: hf://org/name[:config][@revision], "
        "s3://bucket/key, https://..., pvc://claim/path, an absolute path.",
    )
    eval_uri: tuple[str, ...] = option(
        (), "Rows to evaluate on; then all rows of --uri are used for training."
    )
    config: str = option("", "Config of a hub dataset.")
    revision: str = option("", "Branch, tag or commit of a hub dataset.")
    split: str = option(
        "",
        "Split of a hub dataset, a folder or a prefix. Empty: the first that is there of train_sft, "
        "train_gen, train, training.",
    )
    format: Literal[
        "auto", "messages", "conversations", "prompt-completion", "instruction", "processed", "document"
    ] = option("auto", "Format of the rows; auto looks at each row's columns.")
    columns: dict[str, str] = option(
        {},
        'Names of the columns in the data, as JSON: {"prompt": "question", "completion": "answer"}.',
        type=ColumnNames(dict, '{"messages": "chat"}'),
    )
    train_fraction: float = option(
        0.9,
        "Share of the rows to train on; the others are held out. 1: hold none out.",
        type=Number(0, 1, min_open=True),
    )
    subset: int = option(0, "Number of rows to use, selected with the seed. 0: all.", type=click.IntRange(0))
    shuffle: bool = option(True, "Shuffle with the seed. Without it the last rows are held out.")
    seed: int = option(42, "Seed of --shuffle and --subset.")
    on_invalid: Literal["fail", "drop"] = option(
        "fail",
        "What to do with rejected rows. fail: read all rows, list up to 10,000 rejected ones, count the "
        "rest, and end with an error. drop: list all and continue without them.",
    )
    max_invalid: int = option(
        1000,
        "Largest number of rejected rows with --on-invalid drop; one more ends the stage with an error. 0: "
        "no limit.",
        type=click.IntRange(0),
    )
    overlap: Literal["drop", "warn", "fail"] = option(
        "drop",
        "Held-out rows that are also among the rows to train on. drop: use them for training only. warn: "
        "keep both and report the number. fail: end with an error.",
    )
    system_role: Literal["keep", "merge"] = option(
        "keep",
        "System messages that the model's chat template does not accept. keep: reject the row. merge: move "
        "the message into the first user message.",
    )
    unmask_messages: bool = option(
        False, "Learn from all messages except the system's, not only from the assistant's."
    )
    pretraining: bool | None = option(
        None, "Expect documents, to train on as plain text; the stage fails on other rows."
    )
    min_tokens: int = option(
        20,
        "Chats of fewer tokens are dropped. 0: none. 20 is training_hub's limit.",
        type=click.IntRange(0),
    )
    max_seq_len: int = option(
        8192, "Rows of this many tokens or more are dropped. 0: none.", type=click.IntRange(0)
    )
    show_rows: int = option(
        0,
        "Print this many rows to train on as the model reads them, with the learned text in [[ ]].",
        type=click.IntRange(0, 3),
        decides=False,
    )
    training: dict[str, Any] = option(
        {},
        "The training that is to come, as JSON: values of `train` as the chart has them. At the end its plan "
        "is logged: steps, memory, disk and time. Empty: no plan.",
        type=Json(dict, '{"method": "osft", "gpus": 1, "maxTokensPerGpu": 64000}'),
        decides=False,
    )
    training_limits: dict[str, Any] = option(
        {},
        "What that training may take, as JSON; where it takes more, the stage ends with exit code 2 and says "
        "the smallest change that fits. Rows and model stay: the next start does not fetch them again.",
        type=Json(dict, '{"gpuMemoryGiB": 80, "maxHours": 24, "maxDroppedShare": 0.02}'),
        decides=False,
    )
    benchmarks: tuple[str, ...] = option(
        (),
        "lm-eval task, group or pattern whose items are downloaded from the hub into the workspace, for an "
        "evaluation without a network; repeat for more.",
        decides=False,
    )
    benchmarks_include_path: str = option(
        "", "Folder with more lm-eval task files, which --benchmarks may name.", decides=False
    )
    benchmark_revisions: dict[str, str] = option(
        {},
        "Branch, tag or commit of datasets that --benchmarks read, as JSON. Others stay at the commit of "
        "their main branch that was downloaded into this workspace first.",
        type=Texts(dict, '{"openai/gsm8k": "main"}'),
        decides=False,
    )
    s3_endpoint: str = option("", "URL of an S3-compatible server. Empty: AWS.")
    s3_region: str = option("", "Region of the bucket.")
    timeout_seconds: float = option(
        60.0, "Longest time without data from a server.", type=Number(1), decides=False
    )
    model_uri: str = option(
        "hf://Qwen/Qwen2.5-1.5B-Instruct",
        "Base model: hf://org/name[@revision], pvc://claim/path or an absolute path.",
        env="OSFT_MODEL_URI",
    )
    from_run: str = option(
        "",
        "Earlier run of this workspace whose model is the base model, in place of --model-uri: a run id, or "
        "the name of a release, which means its newest finished run.",
        env="OSFT_MODEL_FROM_RUN",
    )
    model_revision: str = option("", "Branch, tag or commit of a hub model.", env="OSFT_MODEL_REVISION")
    trust_remote_code: bool = option(
        False,
        "Run Python code that comes with the model. Only for models you trust.",
        env="OSFT_MODEL_TRUST_REMOTE_CODE",
    )
    resize_embeddings: bool = option(
        False,
        "Accept a tokenizer with more tokens than the model has embeddings; training adds the missing rows.",
        env="OSFT_MODEL_RESIZE_EMBEDDINGS",
    )
