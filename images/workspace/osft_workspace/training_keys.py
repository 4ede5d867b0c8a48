"""What Kaito's tuning reads from a ConfigMap, key by key: the option that takes its place, or why none does.

`osft migrate` reads the same table, and a test compares docs/migration.md with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SECTIONS = (
    "ModelConfig", "QuantizationConfig", "LoraConfig", "TrainingArguments", "DataCollator", "DatasetConfig",
)  # fmt: skip


class Unfit(Exception):
    """A value that has no counterpart here; the text says why."""


def same(value: Any) -> Any:
    """Return the value as it is."""
    return value


def hub_name(value: Any) -> str:
    """Return the address of a model: a name on the hub, or a path in the pod."""
    text = str(value)
    if "://" in text or text.startswith("/"):
        return text
    if text.count("/") != 1:
        raise Unfit("expected <org>/<model> on the hub or an absolute path in the pod")
    return f"hf://{text}"


def quantized(value: Any) -> str | None:
    """Return the method for a base model in 4 bits, and nothing for one that is not."""
    return "qlora" if truth(value) else None


def truth(value: Any) -> bool:
    """Return true or false, which may be written as a text. Raises Unfit."""
    if str(value).lower() not in ("true", "false"):
        raise Unfit("expected true or false")
    return str(value).lower() == "true"


def dtype(value: Any) -> str:
    """Return a number format by its own name."""
    return str(value).removeprefix("torch.")


def modules(value: Any) -> list[Any]:
    """Return the ends of layers' names; Kaito reads a text as a list of one."""
    return value if isinstance(value, list) else [] if value == "all-linear" else [str(value)]


def whole(value: Any) -> int:
    """Return a number without a fraction. Raises Unfit."""
    try:
        if float(value) == int(float(value)):
            return int(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    raise Unfit("expected a whole number")


def count(value: Any) -> int:
    """Return a whole number from 1. Raises Unfit."""
    if whole(value) < 1:
        raise Unfit("expected a whole number from 1")
    return whole(value)


def steps(value: Any) -> int:
    """Return a limit; there -1 means none, here 0 does."""
    return max(whole(value), 0)


def every_epoch(value: Any) -> bool:
    """Return whether a model of each epoch is kept; YAML reads `no` as false."""
    if str(value).lower() not in ("epoch", "steps", "no", "false"):
        raise Unfit("expected epoch, steps or no")
    return str(value).lower() == "epoch"


@dataclass(frozen=True, slots=True)
class Key:
    """A key with a counterpart here."""

    value: str
    """The key of the values."""
    stage: str
    option: str
    """The field of that stage's options."""
    read: Callable[[Any], Any] = same
    """Returns what the option takes, None where it is left as it is. Raises Unfit."""
    part: str = ""
    """The option is a map, and this its key."""


@dataclass(frozen=True, slots=True)
class Without:
    """A key without a counterpart."""

    reason: str
    harmless: tuple[Any, ...] | None
    """Values that change nothing here either, as texts in lower case; None: every value."""


def columns(name: str) -> Key:
    """Return the key that names a column of the rows."""
    return Key("data.columns", "download", "columns", str, part=name)


PER_DEVICE, ACCUMULATED = "per_device_train_batch_size", "gradient_accumulation_steps"
BATCH = Key("train.effectiveBatchSize", "train", "effective_batch_size", count)
KEYS: dict[str, dict[str, Key]] = {
    "ModelConfig": {
        "pretrained_model_name_or_path": Key("model.uri", "download", "model_uri", hub_name),
        "revision": Key("model.revision", "download", "model_revision"),
    },
    "QuantizationConfig": {
        "load_in_4bit": Key("train.method", "train", "method", quantized),
        "bnb_4bit_quant_type": Key("train.quantization.quantType", "train", "quantization_type"),
        "bnb_4bit_compute_dtype": Key(
            "train.quantization.computeDtype", "train", "quantization_compute_dtype", dtype
        ),
        "bnb_4bit_use_double_quant": Key("train.quantization.doubleQuant", "train", "quantization_double"),
    },
    "LoraConfig": {
        "r": Key("train.lora.r", "train", "lora_r"),
        "lora_alpha": Key("train.lora.alpha", "train", "lora_alpha"),
        "lora_dropout": Key("train.lora.dropout", "train", "lora_dropout"),
        "target_modules": Key("train.lora.targetModules", "train", "lora_target_modules", modules),
        "bias": Key("train.lora.bias", "train", "lora_bias"),
        "use_dora": Key("train.lora.useDora", "train", "lora_use_dora"),
        "use_rslora": Key("train.lora.useRslora", "train", "lora_use_rslora"),
    },
    "TrainingArguments": {
        PER_DEVICE: BATCH,
        ACCUMULATED: BATCH,
        "num_train_epochs": Key("train.epochs", "train", "num_epochs", whole),
        "max_steps": Key("train.maxSteps", "train", "max_steps", steps),
        "learning_rate": Key("train.learningRate", "train", "learning_rate"),
        "lr_scheduler_type": Key("train.scheduler.name", "train", "lr_scheduler"),
        "lr_scheduler_kwargs": Key("train.scheduler.kwargs", "train", "lr_scheduler_kwargs"),
        "warmup_steps": Key("train.scheduler.warmupSteps", "train", "warmup_steps", whole),
        "weight_decay": Key("train.adamw.weightDecay", "train", "weight_decay"),
        "adam_beta1": Key("train.adamw.beta1", "train", "beta1"),
        "adam_beta2": Key("train.adamw.beta2", "train", "beta2"),
        "adam_epsilon": Key("train.adamw.eps", "train", "eps"),
        "seed": Key("train.seed", "train", "seed"),
        "save_strategy": Key("train.checkpoints.everyEpoch", "train", "checkpoint_at_epoch", every_epoch),
        "use_liger_kernel": Key("train.useLiger", "train", "use_liger"),
    },
    "DataCollator": {},
    "DatasetConfig": {
        "shuffle_dataset": Key("data.shuffle", "download", "shuffle"),
        "shuffle_seed": Key("data.seed", "download", "seed"),
        "train_test_split": Key("data.trainFraction", "download", "train_fraction"),
        "messages_column": columns("messages"),
        "context_column": columns("prompt"),
        "response_column": columns("completion"),
    },
}
