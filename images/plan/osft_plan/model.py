"""The base model as a plan sees it: names and shapes of its weights, and the few sizes behind its passes."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from osft_plan.files import header, weight_files
from osft_plan.layouts import LAYOUTS, Shape, expected
from osft_workspace import UserError, printable
from osft_workspace.model_sizes import read_config, sizes_in_bounds

HEAD = "lm_head.weight"
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
TIED = ("gemma", "gemma2", "gemma3_text", "cohere2", "smollm3", "starcoder2")
"""Types that tie the output layer to the embeddings where config.json does not say it."""
STORED = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
NAMES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
PATTERNS = {
    "phi3": ("self_attn.o_proj", "self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj"),
    "phi4": ("self_attn.o_proj", "self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj"),
    "gptj": ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out"),
    "gpt_neo": (
        *("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
        *("attn.attention.out_proj", "mlp.c_fc", "mlp.c_proj"),
    ),
    "opt": (
        *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
        *("fc1", "fc2"),
    ),
    "gpt2": ("attn.c_proj", "attn.c_attn", "mlp.c_fc", "mlp.c_proj"),
    "": (
        *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
        *("mlp.gate_proj", "mlp.down_proj", "mlp.up_proj"),
    ),
}
"""Beginning of a type -> parts of the names of the matrices that OSFT decomposes, as mini-trainer has them; a
test compares the two."""


@dataclass(frozen=True, slots=True)
class Model:
    """A base model without its numbers."""

    kind: str
    """Its type, such as `qwen2`."""
    shapes: Mapping[str, Shape]
    """Of its weights; an output layer that is tied to the embeddings does not count again."""
    layers: int
    hidden: int
    inner: int
    """Width of the MLP."""
    queries: int
    """Width of all heads of the attention together..."""
    keys: int
    """...and of those of its keys, which equals that of its values."""
    vocabulary: int
    stored: int
    """Bytes of one number in its files, and in those of the tuned model."""

    @classmethod
    def of_folder(cls, folder: Path, where: str) -> Self:
        """Return the model in a folder; without weights there, as `of_config`.

        Raises:
            UserError: config.json or a header of the weights cannot be read.
        """
        config = read_config(folder, where)
        tensors = {name: entry for path in weight_files(folder) for name, entry in header(path).items()}
        if not tensors:
            return cls.of_config(config, where)
        shapes = {name: tuple(entry["shape"]) for name, entry in tensors.items()}
        if tied(config, given=HEAD in shapes):
            shapes.pop(HEAD, None)
        formats = [str(entry.get("dtype")) for entry in tensors.values()]
        stored = STORED.get(max(set(formats), key=formats.count), 2)
        return cls.of_shapes(config, shapes, stored)

    @classmethod
    def of_config(cls, config: Mapping[str, Any], where: str) -> Self:
        """Return the model that a config.json describes.

        Raises:
            UserError: its type is in no table, or a size is missing.
        """
        sizes_in_bounds(dict(config), where)
        text = text_part(config)
        kind = str(text.get("model_type", ""))
        try:
            core = expected(SimpleNamespace(**{"model_type": "", **text}))
        except (AttributeError, TypeError, ZeroDivisionError) as error:
            raise UserError(
                f"config.json of {where} ({printable(kind, 40)}) lacks a size "
                f"({printable(str(error), 120)}), expected the file that belongs to the model. Name the "
                "folder of the model instead."
            ) from None
        if core is None:
            raise UserError(
                f"config.json of {where} is of the type {printable(kind, 40)}, whose weights a plan cannot "
                f"count without their files, expected {', '.join(sorted(LAYOUTS))}. Name a folder with the "
                "model's safetensors."
            )
        shapes = {f"model.{name}": shape for name, shape in core.items()}
        if not tied(config, given=False):
            shapes[HEAD] = shapes["model.embed_tokens.weight"]
        named = text.get("dtype") or text.get("torch_dtype") or config.get("dtype") or "bfloat16"
        return cls.of_shapes(config, shapes, NAMES.get(str(named), 2))

    @classmethod
    def of_shapes(cls, config: Mapping[str, Any], shapes: Mapping[str, Shape], stored: int) -> Self:
        """Return the model of these weights; sizes that config.json does not have are taken from them."""
        text = text_part(config)
        found = [shape for name, shape in shapes.items() if name.endswith(EMBEDDINGS) and len(shape) == 2]
        rows, width = max(found, default=(1, 1))
        hidden = size(text, "hidden_size", "n_embd", "d_model") or width
        heads = size(text, "num_attention_heads", "n_head", "num_heads") or max(hidden // 64, 1)
        head = size(text, "head_dim") or hidden // heads
        numbers = {found[1] for found in map(LAYER.search, shapes) if found}
        return cls(
            kind=str(text.get("model_type", "")),
            shapes=shapes,
            layers=size(text, "num_hidden_layers", "n_layer", "num_layers") or max(len(numbers), 1),
            hidden=hidden,
            inner=size(text, "intermediate_size", "n_inner") or 4 * hidden,
            queries=heads * head,
            keys=(size(text, "num_key_value_heads") or heads) * head,
            vocabulary=rows if found else size(text, "vocab_size") or 1,
            stored=stored,
        )

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return sum(map(math.prod, self.shapes.values()))

    @property
    def outside(self) -> int:
        """Numbers in the weights outside of the decoder layers: embeddings, output layer, last norm."""
        return self.parameters - self.inside

    @property
    def inside(self) -> int:
        """Numbers in the decoder layers."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if is_layer(name))

    @property
    def layer(self) -> int:
        """Numbers in a decoder layer."""
        return self.inside // self.layers

    def targets(self, patterns: tuple[str, ...] = ()) -> list[tuple[int, int]]:
        """Return the shapes of the matrices that OSFT decomposes.

        Args:
            patterns: parts of their names; empty: by the model's type.
        """
        beginning = next(name for name in PATTERNS if self.kind.startswith(name))
        wanted = patterns or PATTERNS[beginning]
        return [
            (shape[0], shape[1])
            for name, shape in self.shapes.items()
            if len(shape) == 2 and name.endswith(".weight") and any(part in name for part in wanted)
        ]

    def adapted(self, endings: tuple[str, ...] = ()) -> list[tuple[int, int]]:
        """Return the shapes of the matrices that get an adapter.

        Args:
            endings: of their names; empty: every matrix of a decoder layer.
        """
        return [
            (shape[0], shape[1])
            for name, shape in self.shapes.items()
            if len(shape) == 2
            and is_layer(name)
            and (not endings or name.removesuffix(".weight").endswith(endings))
        ]


def is_layer(name: str) -> bool:
    """Return whether a weight is in a decoder layer."""
    return LAYER.search(name) is not None


def text_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of the language model's part."""
    text = config.get("text_config")
    return dict(text) if isinstance(text, dict) and text else dict(config)


def tied(config: Mapping[str, Any], *, given: bool) -> bool:
    """Return whether the output layer is the embeddings.

    Args:
        given: whether the files hold an output layer.
    """
    text = text_part(config)
    said = config.get("tie_word_embeddings", text.get("tie_word_embeddings"))
    return bool(str(text.get("model_type")) in TIED and not given if said is None else said)


def size(text: Mapping[str, Any], *names: str) -> int:
    """Return the first of these sizes that is a whole number; 0 without one."""
    given = (text.get(name) for name in names)
    return next((value for value in given if type(value) is int and value > 0), 0)
