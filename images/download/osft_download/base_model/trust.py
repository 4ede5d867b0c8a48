"""Code that comes with a model: left out of the cache unless model.trustRemoteCode is true.

Settings that would load code by name (`auto_map`, kernels of a repository, `custom_generate`) go from the
copies of an untrusted model. Files without such settings keep their bytes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osft_download.base_model.files import CODE, GENERATION, fits
from osft_download.base_model.json_files import read_object
from osft_workspace import Run, UserError, printable, write_atomic

LOADS_CODE = ("auto_map", "custom_generate", "custom_pipelines", "use_kernels", "kernel_config")
KERNELS = ("attn_implementation", "experts_implementation")
"""Settings, with or without `_` and `_internal` around, that may name a kernel as `org/repository`."""
SETTINGS = ("*config.json",)
"""Files that transformers reads settings from."""
REMEDY = (
    "Choose a model that transformers supports itself, or read that code and set model.trustRemoteCode "
    "(--trust-remote-code) to true."
)


def names_code(key: str, value: Any) -> bool:
    """Return whether a setting would load code."""
    if key.strip("_").removesuffix("_internal") in KERNELS:
        named = value.values() if isinstance(value, dict) else [value]
        return any("/" in str(name) for name in named)
    return key in LOADS_CODE and bool(value)


def without_code(value: Any, found: set[str]) -> Any:
    """Return a JSON value without settings that load code; their names are added to `found`."""
    if isinstance(value, dict):
        found |= {key for key, item in value.items() if names_code(key, item)}
        return {key: without_code(item, found) for key, item in value.items() if not names_code(key, item)}
    if isinstance(value, list):
        return [without_code(item, found) for item in value]
    return value


def strip(run: Run, folder: Path, names: Sequence[str], left_out: Sequence[str] | None) -> None:
    """Take settings that load code out of the copies in a folder.

    Args:
        left_out: code files of the model that were not copied; None: log nothing.
    """
    found: set[str] = set()
    for name in names:
        if fits(name.rpartition("/")[2], SETTINGS):
            here: set[str] = set()
            value = without_code(read_object(folder / name, "the model"), here)
            if here:
                write_atomic(folder / name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
                found |= here
    if left_out is not None and (found or left_out):
        run.event(
            "code of the model is left out",
            files=",".join(printable(name, 80) for name in left_out[:4]) or None,
            settings=",".join(sorted(found)) or None,
            reason="model.trustRemoteCode is false; transformers has its own code for this model",
        )


def code_files(names: Sequence[str]) -> list[str]:
    """Return the files of a model that are code."""
    return [
        name
        for name in names
        if fits(name.rpartition("/")[2], CODE) and name.rpartition("/")[0] in ("", GENERATION)
    ]


def check_type(where: str, config: dict[str, Any], *, trust: bool) -> str:
    """Return the model's type.

    Raises:
        UserError: there is none, transformers does not know it and its own code is not trusted, or it is not
            a language model.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise UserError(
            f"config.json of {where} has no model_type in it ({printable(kind, 40)}), expected the name of "
            "an architecture such as llama. Name a folder that save_pretrained wrote."
        )
    if known(kind):
        if not generates(config):
            raise UserError(
                f"{where} is of type {kind}, and transformers generates no text with such a model, so it "
                "cannot be tuned here. Choose a causal language model (model.uri)."
            )
        return kind
    if trust and config.get("auto_map"):
        return kind
    if config.get("auto_map"):
        raise UserError(
            f"{where} is of type {printable(kind, 80)}, which only Python code that comes with it can load "
            f"(auto_map in config.json), and model.trustRemoteCode is false. {REMEDY}"
        )
    from transformers import __version__

    raise UserError(
        f"{where} is of type {printable(kind, 80)}, which transformers {__version__} does not know. Choose a "
        "model of a type that it knows (model.uri)."
    )


def known(kind: str) -> bool:
    """Return whether transformers has its own code for a type of model."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES


def generates(config: dict[str, Any]) -> bool:
    """Return whether transformers has a causal language model for this configuration or its text part."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as WITH_IMAGES,
    )

    text = config.get("text_config")
    kinds = [config["model_type"], text.get("model_type") if isinstance(text, dict) else None]
    return any(kind in table for kind in kinds for table in (CAUSAL, WITH_IMAGES))


def check_tokenizer(where: str, settings: dict[str, Any], names: Sequence[str]) -> None:
    """Check that the tokenizer of an untrusted model can be read without the model's code.

    Args:
        settings: tokenizer_config.json.

    Raises:
        UserError: only code that comes with the model can.
    """
    own = settings.get("auto_map")
    if not own or (isinstance(own, dict) and "AutoTokenizer" not in own) or "tokenizer.json" in names:
        return
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    kind = str(settings.get("tokenizer_class") or "")
    if not any(tokenizer_class_from_name(name) for name in (kind, f"{kind}Fast") if kind):
        raise UserError(
            f"the tokenizer of {where} ({printable(kind or 'no tokenizer_class', 80)}) can be loaded only by "
            "Python code that comes with the model (auto_map in tokenizer_config.json), and "
            f"model.trustRemoteCode is false. {REMEDY}"
        )
