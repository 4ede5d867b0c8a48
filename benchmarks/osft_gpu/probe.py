"""Looks at the machine, and at models that trainings left, with torch.

    python -m osft_gpu.probe machine
    python -m osft_gpu.probe load BASE FOLDER...

Prints one JSON line for the machine, or for each model.
"""

import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    *("torch", "transformers", "training-hub", "rhai-innovation-mini-trainer", "peft", "liger-kernel"),
    *("bitsandbytes", "flash-attn", "triton"),
)
SIDE = {"cuda": 8192, "cpu": 512}
"""Of the square matrices whose product shows how fast the machine is."""


def installed() -> dict[str, str]:
    """Return the versions of what is there of the packages that matter."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def teraflops(device: str) -> float:
    """Return how many TFLOP/s a product of bfloat16 matrices reaches."""
    one = torch.randn(SIDE[device], SIDE[device], device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        torch.matmul(one, one)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return float(2 * SIDE[device] ** 3 / min(times) / 1e12)


def machine() -> dict[str, Any]:
    """Return what this machine is."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name, memory = "CPU", 0
    if device == "cuda":
        name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
    return {
        **{"device": device, "name": name, "gpu_memory": memory, "gpus": torch.cuda.device_count()},
        **{"python": sys.version.split()[0], "versions": installed(), "teraflops": teraflops(device)},
    }


def load(base: Path, folder: Path) -> dict[str, Any]:
    """Load a model as a user does, compare it with the base model, and let it answer.

    Raises:
        ValueError: it has other weights than the base model, or computes what is not a number.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    started = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device)
    seconds = time.perf_counter() - started
    before = AutoModelForCausalLM.from_pretrained(base, dtype="auto").to(device).state_dict()
    after = model.state_dict()
    if before.keys() != after.keys():
        raise ValueError(f"{folder} has other weights than {base}: {sorted(before.keys() ^ after.keys())}")
    changed = sum(not torch.equal(before[name], after[name]) for name in before)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Who are you?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    ).to(device)
    answer = model.generate(**chat, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    if not torch.isfinite(model(answer).logits).all():
        raise ValueError(f"{folder} computes what is not a number")
    new = answer.shape[1] - chat["input_ids"].shape[1]
    return {"model": folder.name, "seconds": seconds, "changed": changed, "of": len(before), "new": new}


def main() -> None:
    """Print what the command line asks for."""
    if sys.argv[1] == "machine":
        print(json.dumps(machine()))
    else:
        for folder in sys.argv[3:]:
            print(json.dumps(load(Path(sys.argv[2]), Path(folder))), flush=True)


if __name__ == "__main__":
    main()
