#!/usr/bin/env python3
"""Compute the loss of one training step by the plainest means, to hold the train stage to.

    .venvs/train/bin/python tests/support/loss.py MODEL_DIR ROWS.jsonl

Each row has `input_ids` and `labels`. Prints as JSON the mean cross entropy over all learned tokens of all
rows, in nats, and their number.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

IGNORED = -100


def step_loss(model: Any, rows: Iterable[Mapping[str, Any]]) -> tuple[float, int]:
    """Return the mean loss and the number of learned tokens.

    Every row passes the model alone: no padding, no packing, no mask. A token is predicted from those before,
    so a label at the first position counts for nothing.
    """
    import torch

    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            logits = model(torch.tensor([row["input_ids"]])).logits[0]
        chances = torch.log_softmax(logits.double(), dim=-1)
        for at, label in enumerate(row["labels"]):
            if at and label != IGNORED:
                total -= float(chances[at - 1, label])
                count += 1
    return total / max(count, 1), count


def random_model(vocabulary: int, seed: int = 0) -> Any:
    """Return a causal model of a few thousand random weights, in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **shape)).eval()


def main() -> None:
    """Read the command line."""
    from transformers import AutoModelForCausalLM

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("rows", type=Path, metavar="ROWS.jsonl")
    arguments = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(arguments.model).float().eval()
    rows = [json.loads(line) for line in arguments.rows.read_text(encoding="utf-8").splitlines()]
    loss, tokens = step_loss(model, rows)
    json.dump({"loss": loss, "tokens": tokens}, sys.stdout)


if __name__ == "__main__":
    main()
