"""Names and shapes of the tensors that each known architecture takes, from its configuration alone.

A test compares this table with the models that transformers builds. For types that are not here, `shapes`
checks what it can without a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]
Switch = bool | str
"""Whether something is there: always, never, or as a field of the configuration says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the decoder layers of an architecture differ from Llama's."""

    qkv_bias: Switch = "attention_bias"
    out_bias: Switch = "attention_bias"
    packed_qkv: bool = False
    out: str = "o_proj"
    head_norms: tuple[str, ...] = ()
    """Norms of queries and keys, one for all heads."""
    whole_head_norms: bool = False
    """Whether those norms reach over all heads at once."""
    into: tuple[str, ...] = ("gate_proj", "up_proj")
    """Matrices of the MLP that widen; `gate_up_proj` is both in one."""
    back: str = "down_proj"
    mlp_bias: Switch = False
    norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    last_norm: str = "norm"
    norm_bias: bool = False


GEMMA2_NORMS = (
    *("input_layernorm", "post_attention_layernorm"),
    *("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)
OLMO2_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
GLM4_NORMS = ("input_layernorm", "post_attention_layernorm", "post_self_attn_layernorm", "post_mlp_layernorm")
QK = ("q_norm", "k_norm")

LAYOUTS = {
    "llama": Layout(mlp_bias="mlp_bias"),
    "mistral": Layout(qkv_bias=False, out_bias=False),
    "ministral": Layout(qkv_bias=False, out_bias=False),
    "qwen2": Layout(qkv_bias=True, out_bias=False),
    "qwen3": Layout(head_norms=QK),
    "gemma": Layout(),
    "gemma2": Layout(norms=GEMMA2_NORMS),
    "gemma3_text": Layout(norms=GEMMA2_NORMS, head_norms=QK),
    "phi": Layout(
        qkv_bias=True, out_bias=True, out="dense", into=("fc1",), back="fc2", mlp_bias=True,
        norms=("input_layernorm",), last_norm="final_layernorm", norm_bias=True,
    ),
    "phi3": Layout(qkv_bias=False, out_bias=False, packed_qkv=True, into=("gate_up_proj",)),
    "granite": Layout(mlp_bias="mlp_bias"),
    "smollm3": Layout(mlp_bias="mlp_bias"),
    "glm": Layout(out_bias=False, into=("gate_up_proj",)),
    "glm4": Layout(out_bias=False, into=("gate_up_proj",), norms=GLM4_NORMS),
    "olmo": Layout(norms=(), last_norm=""),
    "olmo2": Layout(norms=OLMO2_NORMS, head_norms=QK, whole_head_norms=True),
    "olmo3": Layout(norms=OLMO2_NORMS, head_norms=QK, whole_head_norms=True),
    "starcoder2": Layout(
        qkv_bias="use_bias", out_bias="use_bias", into=("c_fc",), back="c_proj", mlp_bias="use_bias",
        norm_bias=True,
    ),
    "cohere2": Layout(norms=("input_layernorm",)),
    "exaone4": Layout(qkv_bias=False, out_bias=False, norms=OLMO2_NORMS, head_norms=QK),
    "seed_oss": Layout(out_bias="attention_out_bias", mlp_bias="mlp_bias"),
    "arcee": Layout(into=("up_proj",), mlp_bias="mlp_bias"),
    "ernie4_5": Layout(qkv_bias="use_bias", out_bias="use_bias", mlp_bias="use_bias"),
    "hunyuan_v1_dense": Layout(head_norms=("query_layernorm", "key_layernorm")),
    "nemotron": Layout(into=("up_proj",), mlp_bias="mlp_bias", norm_bias=True),
}  # fmt: skip
"""By `model_type`."""


def expected(config: Any) -> dict[str, Shape] | None:
    """Return names and shapes of everything but the output layer, below the model's prefix (`model.`).

    Args:
        config: the configuration of the text part, as transformers reads it.

    Returns:
        None for an architecture that is not in the table.
    """
    layout = LAYOUTS.get(str(config.model_type))
    if layout is None:
        return None
    hidden = config.hidden_size
    found: dict[str, Shape] = {"embed_tokens.weight": (config.vocab_size, hidden)}
    for number in range(config.num_hidden_layers):
        for name, shape in layer(layout, config):
            found[f"layers.{number}.{name}"] = shape
    if layout.last_norm:
        found |= dict(norm(layout.last_norm, hidden, layout.norm_bias))
    return found


def layer(layout: Layout, config: Any) -> Iterator[tuple[str, Shape]]:
    """Yield the tensors of one layer."""
    hidden, inner = config.hidden_size, config.intermediate_size
    for name in layout.norms:
        yield from norm(name, hidden, layout.norm_bias)
    yield from attention(layout, config)
    bias = is_on(layout.mlp_bias, config)
    for name in layout.into:
        yield from linear(f"mlp.{name}", inner * 2 if name == "gate_up_proj" else inner, hidden, bias)
    yield from linear(f"mlp.{layout.back}", hidden, inner, bias)


def attention(layout: Layout, config: Any) -> Iterator[tuple[str, Shape]]:
    """Yield the tensors of one layer's attention."""
    hidden, heads = config.hidden_size, config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    head = getattr(config, "head_dim", None) or hidden // heads
    queries, keys = heads * head, groups * head
    bias = is_on(layout.qkv_bias, config)
    if layout.packed_qkv:
        yield from linear("self_attn.qkv_proj", queries + 2 * keys, hidden, bias)
    else:
        for name, out in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
            yield from linear(f"self_attn.{name}", out, hidden, bias)
    yield from linear(f"self_attn.{layout.out}", hidden, queries, is_on(layout.out_bias, config))
    for name, whole in zip(layout.head_norms, (queries, keys), strict=False):
        yield f"self_attn.{name}.weight", (whole if layout.whole_head_norms else head,)


def linear(name: str, out: int, inside: int, bias: bool) -> Iterator[tuple[str, Shape]]:
    """Yield a matrix and its bias."""
    yield f"{name}.weight", (out, inside)
    if bias:
        yield f"{name}.bias", (out,)


def norm(name: str, size: int, bias: bool) -> Iterator[tuple[str, Shape]]:
    """Yield the tensors of a norm."""
    yield f"{name}.weight", (size,)
    if bias:
        yield f"{name}.bias", (size,)


def is_on(switch: Switch, config: Any) -> bool:
    """Return whether something is there."""
    return switch if isinstance(switch, bool) else bool(getattr(config, switch, False))
