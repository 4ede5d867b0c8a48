"""Values of a run on the tiny model that `tiny_model.py` makes, in the claim `tiny`."""

from typing import Any

TINY: dict[str, Any] = {
    "model": {"uri": "pvc://tiny/model"},
    "data": {"uri": "pvc://tiny/train.jsonl", "evalUri": "pvc://tiny/holdout.jsonl", "subset": 96},
    "train": {
        "gpus": 0,
        "effectiveBatchSize": 16,
        "maxTokensPerGpu": 2048,
        "maxSequenceLength": 512,
        "learningRate": 0.002,
    },
    "preflight": {"addresses": False},
    "secrets": {"hf": {"existing": "hub"}},
}
