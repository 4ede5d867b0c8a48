"""Values of other systems as ours: by the type that the chart's schema gives a key, or by a rule."""

import json
from collections.abc import Callable
from typing import Any

from osft_pipeline.chart import resolved, schema
from osft_pipeline.migrate.tables import Row

Json = dict[str, Any]


class Left(Exception):
    """A parameter without a counterpart; the text says why, and is empty if the table's note does."""


class Hidden(Left):
    """A parameter whose value is a secret, which is not shown either."""


class Needless(Exception):
    """A parameter whose value is the default."""


def kinds(key: str) -> set[str]:
    """Return the JSON types that a key takes; none for one inside a map of the user's own."""
    node = schema()
    for part in key.split("."):
        node = resolved(node).get("properties", {}).get(part, {})
    node = resolved(node)
    types = node.get("type", [])
    return set([types] if isinstance(types, str) else types)


def scalar(text: str) -> Any:
    """Return a text as the number or truth that it writes."""
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text


def pairs(text: str) -> Json:
    """Return `k=v,k=v` as a map; a comma inside a value stays in it."""
    found: Json = {}
    last = ""
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if equals:
            last = key.strip()
            found[last] = scalar(value.strip())
        elif last:
            found[last] = f"{found[last]},{part}"
    return found


def coerced(value: Any, key: str) -> Any:
    """Return a value in a type that the key takes, where it can be read as one."""
    types = kinds(key)
    if "object" in types:
        found = pairs(value) if isinstance(value, str) else value
        texts = named_texts(key) and isinstance(found, dict)
        return {name: str(one) for name, one in found.items()} if texts else found
    if "array" in types:
        listed = (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )
        one = "string" in types and isinstance(listed, list) and len(listed) == 1
        return listed[0] if one else listed
    if types & {"integer", "number", "boolean"} and isinstance(value, str):
        return scalar(value)
    return str(value) if types == {"string"} and not isinstance(value, (dict, list)) else value


def named_texts(key: str) -> bool:
    """Return whether a key is a map whose values Kubernetes takes as strings."""
    return key.endswith((".env", ".annotations", ".labels"))


SECRET = "its value is a secret and is not copied. Create it with `osft secrets`"
RULES: dict[str, Callable[[Any], Any]] = {}


def rule(*names: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register how the values of these parameters are read. A rule returns the value, or raises Left."""

    def keep(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        RULES.update(dict.fromkeys(names, function))
        return function

    return keep


@rule(
    "phase_01_dataset_opt_hf_token",
    "phase_02_train_opt_hf_token",
    "model_provider_parameters.access_token",
    "dataset_provider_parameters.token",
)
def hub_token(value: Any) -> str:
    """Return the Secret that holds a token: the token itself is not copied."""
    return "hf-token"


@rule("dataset_provider_parameters.access_key", "dataset_provider_parameters.secret_key")
def s3_key(value: Any) -> Any:
    raise Hidden(f"{SECRET} s3; secrets.s3.existing names it")


@rule("dataset_provider_parameters.bucket_name", "dataset_provider_parameters.file_key")
def s3_address(value: Any) -> str:
    """Return the address of bucket and key."""
    if not str(value).startswith("s3://"):
        raise Left("an address of S3 needs bucket_name and file_key: data.uri: s3://<bucket>/<key>")
    return str(value)


@rule("phase_03_eval_opt_limit")
def limit(value: Any) -> int:
    """Return a limit; there -1 means none, here 0 does."""
    return max(int(value), 0)


@rule("phase_02_train_opt_pull_secret")
def pull_secret(value: Any) -> list[str]:
    return [str(value)]


@rule("phase_02_train_opt_cpu", "phase_02_train_opt_memory")
def amount(value: Any) -> str:
    return str(value)


@rule("save_strategy")
def every_epoch(value: Any) -> bool:
    """Return true for `epoch`, false for `steps` and `no`."""
    return str(value) == "epoch"


@rule("bnb_4bit_compute_dtype")
def number_format(value: Any) -> str:
    """Return a format by its own name; theirs may say where it comes from."""
    return str(value).removeprefix("torch.")


@rule("device_map", "local_files_only", "chat_template", "callbacks", "ckpt_output_dir",
      "phase_02_train_opt_runtime", "output.image", "output.imagePushSecret", "input.image", "input.volume",
      "output.volume", "input.imagePullSecrets")  # fmt: skip
def by_hand(value: Any) -> Any:
    raise Left("")


@rule("osft")
def protects(value: Any) -> str:
    """Return the method: full fine-tuning where OSFT is switched off."""
    return "osft" if value else "sft"


@rule("method")
def method(value: Any) -> str:
    """Return a method that the chart has. Raises Left for another."""
    known = resolved(schema()["properties"]["train"])["properties"]["method"].get("enum", [])
    if value not in known:
        raise Left(f"train.method is one of {', '.join(known)}")
    return str(value)


@rule("dataset_provider_parameters.repo_id", "preset.name")
def hub_name(value: Any) -> str:
    """Return the address of a name on the hub. Kaito's presets have names of their own."""
    if "/" not in str(value):
        raise Left("give the model's name on the hub: model.uri: hf://<org>/<name>")
    return f"hf://{value}"


@rule("resource.labelSelector")
def selector(value: Any) -> Any:
    """Return labels of nodes; expressions have no counterpart in a node selector."""
    labels = value.get("matchLabels") if isinstance(value, dict) else None
    if not labels:
        raise Left("")
    return labels


@rule("resource.instanceType")
def instance(value: Any) -> Json:
    return {"node.kubernetes.io/instance-type": str(value)}


def value_of(row: Row, value: Any) -> Any:
    """Return what our key takes for a value of theirs. Raises Left or Needless."""
    if row.theirs in RULES:
        return RULES[row.theirs](value)
    if row.part and "object" in kinds(row.ours):
        return value
    if row.part:
        if str(value).lower() not in ("true", "1"):
            raise Needless
        return row.part
    return coerced(value, row.ours)
