"""Values of config.json that transformers reads silently, and that fail when the model is built.

They are known from the configuration alone, before a GPU is requested. Where another architecture may give
a value its own meaning, it is checked only for the architectures of `layouts`.
"""

from collections.abc import Iterator
from typing import Any

from osft_download.base_model.shapes import text_part
from osft_plan.layouts import LAYOUTS
from osft_workspace import Run, UserError, printable

DTYPES = ("float32", "float16", "bfloat16", "float64")
ROPE_TYPES = frozenset({"default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional"})
ACTIVATIONS = frozenset(
    "gelu gelu_10 gelu_accurate gelu_fast gelu_new gelu_python gelu_python_tanh gelu_pytorch_tanh hardswish "
    "laplace leaky_relu linear mish prelu quick_gelu relu relu2 relu6 sigmoid silu sqrtsoftplus swish tanh "
    "xielu".split()
)
"""What transformers knows; importing its table needs torch, and a test compares the two."""
PARTS = ("text_config", "decoder", "generator")
ADVICE = "Correct that value, or save the model again with save_pretrained."


def check_values(where: str, raw: dict[str, Any], config: Any, *, resize: bool) -> None:
    """Check the values that only building the model would find wrong.

    Args:
        raw: config.json as it is.
        config: as transformers reads it.
        resize: whether the embeddings may get more rows.

    Raises:
        UserError: naming the key, its value and what is expected.
    """
    check_part(where, config)
    text = text_part(config)
    for name, value, good, wanted in wrong(raw, config, text, resize=resize):
        if not good:
            raise UserError(
                f"config.json of {where} gives {name} as {printable(value, 80)}, expected {wanted}. {ADVICE}"
            )


def tell_architecture(run: Run, config: dict[str, Any], kind: str) -> None:
    """Log which model is built where config.json names others only: transformers goes by model_type.

    Args:
        config: config.json as it is.
        kind: its model_type, one that transformers knows.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as WITH_IMAGES,
    )

    built = [table[kind] for table in (CAUSAL, WITH_IMAGES) if kind in table]
    named = config.get("architectures")
    names = named if isinstance(named, list) else [named] if named else []
    if built and names and not any(name in built for name in names):
        found = ", ".join(printable(name, 80) for name in names[:4])
        reason = f"config.json names {found}, and transformers builds a model by its model_type ({kind})"
        run.choice("architecture", built[0], reason)


def check_part(where: str, config: Any) -> None:
    """Raise UserError where a part for the language model is there that this architecture does not have."""
    for name in PARTS:
        part = getattr(config, name, None)
        if part is not None and part is text_part(config) and not hasattr(part, "get_text_config"):
            raise UserError(
                f"config.json of {where} has {name}, which a model of type "
                f"{printable(getattr(config, 'model_type', None), 80)} does not have. Remove {name}, or use "
                "the config.json that belongs to these weights."
            )


def wrong(
    raw: dict[str, Any], config: Any, text: Any, *, resize: bool
) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield keys, their values, whether they can be used, and what is expected."""
    for part in (config, text):
        dtype = getattr(part, "dtype", None) or getattr(part, "torch_dtype", None)
        name = str(dtype).removeprefix("torch.")  # where torch is installed, transformers has its object here
        yield "dtype", dtype, dtype is None or name in DTYPES, f"one of {', '.join(DTYPES)}"
    layers = getattr(text, "num_hidden_layers", None)
    yield "num_hidden_layers", layers, type(layers) is not int or layers >= 1, "a whole number from 1 on"
    rows = getattr(text, "vocab_size", None)
    yield "vocab_size", rows, type(rows) is not int or rows >= 1, "a whole number from 1 on"
    yield from tokens(raw, text, resize=resize)
    if getattr(text, "model_type", None) in LAYOUTS:
        for name in ("hidden_act", "hidden_activation"):
            act = getattr(text, name, None)
            yield name, act, act is None or act in ACTIVATIONS, f"one of {', '.join(sorted(ACTIVATIONS))}"
        for name, kind in rope_types(text):
            yield name, kind, kind in ROPE_TYPES, f"one of {', '.join(sorted(ROPE_TYPES))}"


def tokens(raw: dict[str, Any], text: Any, *, resize: bool) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield the ids of special tokens; more rows come too late for a padding token of the embeddings."""
    rows = getattr(text, "vocab_size", None)
    if type(rows) is not int:
        return
    wanted = f"a token id below vocab_size ({rows})"
    pad = getattr(text, "pad_token_id", None)
    if not resize or getattr(text, "model_type", None) in LAYOUTS:
        yield "pad_token_id", pad, type(pad) is not int or pad < rows, wanted
    part = raw.get("text_config")
    # a class's own default would be that of its largest model: only what is written counts
    ends = (part if isinstance(part, dict) else raw).get("eos_token_id")
    for end in ends if isinstance(ends, list) else [ends]:
        yield "eos_token_id", end, resize or type(end) is not int or end < rows, wanted


def rope_types(text: Any) -> Iterator[tuple[str, Any]]:
    """Yield the kinds of rotary embeddings, of all layers or by type of layer."""
    rope = getattr(text, "rope_parameters", None)
    if isinstance(rope, dict):
        parts = [part for part in rope.values() if isinstance(part, dict) and "rope_type" in part]
        for part in [*parts, rope] if "rope_type" in rope else parts:
            yield "rope_parameters.rope_type", part["rope_type"]
