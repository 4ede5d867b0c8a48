"""Whole model folders of a few kilobytes, made without any library, and the tools to damage them."""

import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Spec = tuple[str, tuple[int, ...]]
"""Number format and shape of a tensor."""
LAYERS, HIDDEN, INNER, HEADS, GROUPS, ROWS = 2, 16, 32, 4, 2, 264
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": GROUPS,
    "vocab_size": ROWS,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "dtype": "float32",
    "bos_token_id": 256,
    "eos_token_id": 258,
    "pad_token_id": 259,
}


def llama_tensors() -> dict[str, Spec]:
    """Return the tensors of `CONFIG`."""
    keys = HIDDEN // HEADS * GROUPS
    layer = {
        "input_layernorm": (HIDDEN,),
        "post_attention_layernorm": (HIDDEN,),
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.k_proj": (keys, HIDDEN),
        "self_attn.v_proj": (keys, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "mlp.down_proj": (HIDDEN, INNER),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (ROWS, HIDDEN)}
    for number in range(LAYERS):
        shapes |= {f"model.layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    shapes["model.norm.weight"] = (HIDDEN,)
    return {name: ("F32", shape) for name, shape in shapes.items()}


BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "U8": 1, "F8_E4M3": 1, "I64": 8, "F64": 8}


def write_safetensors(path: Path, tensors: Mapping[str, Spec], fill: int = 0) -> Path:
    """Write these tensors, every byte `fill`."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    return write_raw(path, json.dumps(header).encode(), bytes([fill]) * at)


def write_raw(path: Path, header: bytes, data: bytes, length: int | None = None) -> Path:
    """Write a safetensors file of any header, true or not."""
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def bytes_as_text() -> list[str]:
    """Return the character that stands for each byte in byte-level tokenizers."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def tokenizer() -> dict[str, Any]:
    """Return a tokenizer.json of one token for each byte, and the marks of ChatML."""
    marks = [
        {
            "id": 256 + number, "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True,
        }
        for number, mark in enumerate(SPECIAL)
    ]  # fmt: skip
    vocabulary = {mark: number for number, mark in enumerate(bytes_as_text())}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": marks,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocabulary, "merges": [],
        },
    }  # fmt: skip


def write_llama(folder: Path) -> Path:
    """Write a whole model: its weights are zeros, its tokenizer and template work."""
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", llama_tensors())
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "tokenizer.json", tokenizer())
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256,
            "bos_token": SPECIAL[0], "eos_token": SPECIAL[2], "pad_token": SPECIAL[3],
        },
    )  # fmt: skip
    write_json(folder / "generation_config.json", {"eos_token_id": 258, "pad_token_id": 259})
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Hollow\n")
    return folder


def write_json(path: Path, value: Any) -> None:
    """Write JSON as save_pretrained does."""
    path.write_text(json.dumps(value, indent=2) + "\n")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON object in a file."""
    value = json.loads(path.read_text()) if path.is_file() else {}
    change(value)
    write_json(path, value)


def add_tensors(path: Path, more: Mapping[str, Spec]) -> None:
    """Add tensors, every byte 0, behind those of a safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    for name, (dtype, shape) in more.items():
        size = math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    write_raw(path, json.dumps(header).encode(), data)
