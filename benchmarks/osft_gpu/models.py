"""Makes a model with random weights, its tokenizer and chat rows.

    python -m osft_gpu.models SHAPE FOLDER ROWS EXCHANGES

Leaves `model/` and `rows.jsonl` in FOLDER. The weights are as a model has them before it is trained: time and
memory are those of a trained one.
"""

import sys
from pathlib import Path
from typing import Any

from tests.support.tiny_model import chat_rows, make_model, make_tokenizer, write_jsonl

QWEN_1_5B = {
    "vocab_size": 151936,
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}
"""Qwen2.5-1.5B: 1.54 billion parameters, 196 matrices that OSFT decomposes."""


def rows(count: int, exchanges: int) -> list[dict[str, Any]]:
    """Return chats that are all different. An exchange is a question and an answer, about 50 tokens."""
    found = []
    for number in range(count):
        parts = chat_rows(exchanges, seed=number)
        system = parts[0]["messages"][0]
        talk = [message for part in parts for message in part["messages"][1:]]
        found.append({"messages": [system, *talk]})
    return found


def make_large(folder: Path, tokenizer: Any, shape: dict[str, Any]) -> None:
    """Make a model in bfloat16, on the GPU where there is one: drawing its numbers takes long on a CPU."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = AutoConfig.for_model("qwen2", **shape, **ids, dtype="bfloat16")
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def main() -> None:
    """Make what the command line asks for."""
    shape, folder, count, exchanges = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    chats = rows(count, exchanges)
    write_jsonl(folder / "rows.jsonl", chats)
    tokenizer = make_tokenizer(folder / "model", chats)
    if shape == "tiny":
        make_model(folder / "model", tokenizer, "llama", "float32")
    else:
        make_large(folder / "model", tokenizer, QWEN_1_5B)


if __name__ == "__main__":
    main()
