"""Settings of other systems as a values file of the chart, by the tables of docs/migration.md."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from osft_pipeline.migrate.convert import Hidden, Left, Needless, kinds, value_of
from osft_pipeline.migrate.sources import HUB, KAITO, KEP, KFP, Json, read
from osft_pipeline.migrate.tables import Row, tables
from osft_pipeline.values import place
from osft_workspace import printable, redact_text
from osft_workspace.text import excerpt
from osft_workspace.training_keys import ACCUMULATED, KEYS, PER_DEVICE, Unfit
from osft_workspace.training_reasons import WITHOUT

S3_PARTS = ("dataset_provider_parameters.bucket_name", "dataset_provider_parameters.file_key")
GPUS = "GPUs of resources_per_worker"
SECRET_NAME = re.compile(r"(?i)token(?!iz|s)|secret|password|passwd|credential|(api|access|private)_?key")
"""What names of secrets contain; not those of `max_tokens` and `tokenizer`."""
OF_METHODS = {
    "unfreezeRankRatio": ("osft",),
    "targetPatterns": ("osft",),
    "lora": ("lora", "qlora"),
    "quantization": ("qlora",),
}
"""Keys of train that only some methods use."""
UNNAMED = "NAME-THE-MODEL"
"""Stands where Kaito's preset has no counterpart: the chart refuses it; it would else tune its default."""
GPU_KEYS = ("gpu", "nvidia.com/gpu", "gpus")


def migrate(documents: Iterable[Any], system: str | None) -> str:
    """Return a values file, with a comment for each parameter that it does not carry. Raises UserError."""
    section, parameters = read(documents, system)
    values: Json = {}
    left: list[str] = []
    for name, value in combined(section, parameters):
        row = tables()[section].get(name)
        if value is None or value == "":
            continue
        if name == GPUS:
            place(values, "train.gpus", value)
        elif row is None and section == HUB:
            place(values, "train.extraArgs", {name: value})
        elif row is None:
            left.append(f"{name}: {seen(name, value)}: {reason(section, name)}")
        else:
            take(values, row, value, left)
    if section == KAITO and "model" not in values:
        place(values, "model.uri", UNNAMED)
    leave_unused(values.get("train", {}), left)
    tasks = values.get("eval", {}).get("tasks") or []
    if section == KFP and not all(str(task).startswith("osft_") for task in tasks):
        place(values, "eval.downloadBenchmarks", True)  # as that pipeline always did
    return written(section, values, left)


def leave_unused(train: Json, left: list[str]) -> None:
    """Take out what the method does not use: the chart would not take it."""
    method = train.get("method", "osft")
    for key, methods in OF_METHODS.items():
        if key in train and method not in methods:
            left.append(f"train.{key}: {excerpt(str(train.pop(key)))}: the method {method} does not use it")


def combined(section: str, parameters: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the parameters, those that make one value together put together."""
    found = dict(parameters)
    if section == KAITO and found.get(PER_DEVICE) and found.get(ACCUMULATED):
        found[PER_DEVICE] = rows_of_a_pass(found)
        del found[ACCUMULATED]
        return list(found.items())
    if section != KEP:
        return parameters
    if all(found.get(name) for name in S3_PARTS):
        found[S3_PARTS[0]] = f"s3://{found[S3_PARTS[0]]}/{found.pop(S3_PARTS[1])}"
    resources = found.get("resources_per_worker")
    if isinstance(resources, dict):
        gpus = [resources.pop(name) for name in GPU_KEYS if name in resources]
        found |= {GPUS: gpus[0]} if gpus else {}
    return list(found.items())


def rows_of_a_pass(found: Json) -> Any:
    """Return the rows of a step of one process: those of a pass times the passes."""
    keys = KEYS["TrainingArguments"]
    try:
        return keys[PER_DEVICE].read(found[PER_DEVICE]) * keys[ACCUMULATED].read(found[ACCUMULATED])
    except Unfit:
        return found[PER_DEVICE]


def reason(section: str, name: str) -> str:
    """Return why a name that the page does not list has no counterpart."""
    known = [keys[name].reason for keys in WITHOUT.values() if name in keys] if section == KAITO else []
    return known[0] if known else f"not a parameter of {section}"


def take(values: Json, row: Row, value: Any, left: list[str]) -> None:
    """Put one parameter into the values, or say why not."""
    shown = seen(row.theirs, value)
    try:
        if not row.ours:
            raise Left(row.note)
        taken = value_of(row, value)
    except Needless:
        return
    except Hidden as reason:
        left.append(f"{row.theirs}: {reason}")
        return
    except Left as reason:
        why = str(reason) or ": ".join(filter(None, [row.note, f"see {row.ours}"]))
        left.append(f"{row.theirs}: {shown}: {why}")
        return
    if row.part and "object" in kinds(row.ours):
        taken = {row.part: taken}
    if row.ours.endswith(".env") and isinstance(taken, dict):
        for name in [name for name in taken if SECRET_NAME.search(name)]:
            del taken[name]
            left.append(
                f"{row.theirs}: {name}: its value looks like a secret and is not copied: see {row.ours}"
            )
    place(values, row.ours, taken)


def seen(name: str, value: Any) -> str:
    """Return a value as a comment may show it: not what is named like a secret, at any depth."""
    if SECRET_NAME.search(name):
        return "(not shown)"
    if isinstance(value, dict):
        return excerpt(str({key: seen(str(key), inner) for key, inner in value.items()}))
    return excerpt(redact_text(str(value)))


def written(section: str, values: Json, left: list[str]) -> str:
    """Return the values file."""
    lines = [f"# Values of osft-pipeline, made from settings of: {section}."]
    if left:
        lines += ["# Not carried over:", *(f"#   {printable(reason, 400)}" for reason in left)]
    body = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110) if values else "{}\n"
    return "\n".join(lines) + "\n" + body
