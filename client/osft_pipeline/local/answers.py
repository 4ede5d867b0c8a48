"""Answers of models, as any user of transformers would get them. Runs in the evaluation's environment.

Reads one JSON object from stdin: models, turns, max_new_tokens, trust_remote_code. A model is its folder, or
the folders of its base and of its adapter. Writes a JSON list to stdout: for each model the text, and the
seconds of loading and answering.
"""

import json
import os
import sys
import time
from typing import Any

# Threads that spin while they wait would slow down the machine.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", OMP_WAIT_POLICY="passive")


def answer(folders: list[str], turns: list[dict[str, str]], tokens: int, trust: bool) -> dict[str, Any]:
    """Load a model and let it answer greedily."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    began = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Token by token, bfloat16 takes three times as long as float32 on a CPU.
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(folders[0], trust_remote_code=trust)
    model = AutoModelForCausalLM.from_pretrained(folders[0], dtype=dtype, trust_remote_code=trust).to(device)
    for adapter in folders[1:]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    prompt = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(device)
    with torch.inference_mode():
        made = model.generate(**prompt, max_new_tokens=tokens, do_sample=False)
    text = tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    return {"text": str(text).strip(), "seconds": time.monotonic() - began}


def main() -> None:
    """Answer with each model in turn."""
    asked = json.load(sys.stdin)
    turns, tokens, trust = asked["turns"], asked["max_new_tokens"], asked["trust_remote_code"]
    json.dump([answer(folders, turns, tokens, trust) for folders in asked["models"]], sys.stdout)


if __name__ == "__main__":
    main()
