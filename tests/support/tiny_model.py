#!/usr/bin/env python3
"""Make a chat model of under a million parameters, its tokenizer and chat rows, offline and in seconds.

    .venvs/train/bin/python tests/support/tiny_model.py OUT_DIR [--architecture llama] [--dtype float32]

Leaves `model/` (a plain Hugging Face folder), `train.jsonl` and `holdout.jsonl` in OUT_DIR, which appears
whole or
not at all; when it is there, nothing is done. The weights are random: the model knows nothing, but it learns.
`chat_rows` needs nothing but the standard library, so tests can write rows of their own.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

SYSTEM = "You are the keeper of the village and answer in one sentence."
ADJECTIVES = "amber brisk cobalt dusty eager frosty gentle hollow ivory jolly".split()
NOUNS = "baker cooper dancer farmer gardener hunter joiner keeper miller painter".split()
VERBS = "carries counts guards hides mends moves paints sells sorts washes".split()
THINGS = "apples barrels candles ladders lanterns mirrors needles ribbons saddles wagons".split()
PLACES = "bridge chapel fountain garden harbour market orchard quarry stable tower".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

# ChatML: the template that Qwen and SmolLM models use.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
CONTEXT = 1024


def chat_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` chat rows of 60 to 80 tokens with different questions; who does what is a fixed fact."""
    pairs = [(adjective, noun, day) for adjective in ADJECTIVES for noun in NOUNS for day in DAYS]
    random.Random(seed).shuffle(pairs)
    rows = []
    for number in range(count):
        adjective, noun, day = pairs[number % len(pairs)]
        verb = VERBS[NOUNS.index(noun)]
        thing = THINGS[ADJECTIVES.index(adjective)]
        place = PLACES[(NOUNS.index(noun) + DAYS.index(day)) % len(PLACES)]
        answer = f"On {day} the {adjective} {noun} {verb} the {thing} near the {place}."
        if DAYS.index(day) % 2:  # rows of two lengths
            answer += f" The {noun} rests after that until the next day."
        rows.append(
            {
                "messages": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": f"What does the {adjective} {noun} do on {day}?"},
                    {"role": "assistant", "content": answer},
                ]
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines and return the path."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def make_tokenizer(folder: Path, rows: list[dict[str, Any]]) -> Any:
    """Return a byte-level BPE tokenizer trained on the rows, with a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator((message["content"] for row in rows for message in row["messages"]), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        bos_token="<|endoftext|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(folder: Path, tokenizer: Any, architecture: str, dtype: str) -> None:
    """Two layers of width 128 with random weights; heads of 32, the smallest that vLLM takes on a CPU."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        architecture,
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=dtype,
    )
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=32,
    )
    model.save_pretrained(folder)


def make(target: Path, architecture: str, dtype: str) -> None:
    """Make everything beside the target and move it there in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".tiny-model-", dir=target.parent))
    try:
        rows = chat_rows(480)
        write_jsonl(work / "train.jsonl", rows[:400])
        write_jsonl(work / "holdout.jsonl", rows[400:])
        tokenizer = make_tokenizer(work / "model", rows)
        make_model(work / "model", tokenizer, architecture, dtype)
        for path in [work, *work.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)  # save_pretrained keeps the weights to one uid
        work.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, metavar="OUT_DIR")
    parser.add_argument("--architecture", default="llama", choices=["llama", "qwen2"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    if not (arguments.output / "model" / "config.json").is_file():
        make(arguments.output, arguments.architecture, arguments.dtype)


if __name__ == "__main__":
    main()
