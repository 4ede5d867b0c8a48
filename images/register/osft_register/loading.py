"""How the model card says to load a model: lines as a reader would paste them."""

import json
import shlex

from osft_register.evidence import Evidence
from osft_workspace import claims
from osft_workspace.markdown import code
from osft_workspace.text import field
from osft_workspace.tuned import not_for_vllm, vllm_rank

FROM = "AutoModelForCausalLM.from_pretrained"
USE = """messages = [{"role": "user", "content": "Hello"}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=100)[0], skip_special_tokens=True))"""


def loading(evidence: Evidence, uri: str) -> str:
    """Return where the model is, and how transformers and vLLM load it."""
    trusted = bool(evidence.base.get("trust_remote_code"))
    warning = " It includes Python code that runs when the model is loaded: read it first." if trusted else ""
    place, belongs = where(evidence, uri)
    lines = adapter if evidence.tuned.base else whole
    python = "\n".join([*lines(evidence, ", trust_remote_code=True" if trusted else ""), USE])
    here = claims.folder_of(evidence.claim)
    mounted = "" if here else " Below, `WORKSPACE` is where that volume is mounted."
    return f"{place}{warning}{mounted}{belongs}\n\n```python\n{python}\n```\n\n{served(evidence, trusted)}"


def where(evidence: Evidence, uri: str) -> tuple[str, str]:
    """Return a sentence on where the model is, and one on what belongs to it."""
    kind, alone = evidence.tuned.kind, bool(evidence.tuned.base)
    kserve = "" if alone or claims.folder_of(evidence.claim) else " (KServe: `storageUri`)"
    place = f"stored at {code(uri)}{kserve}." if uri else "stored in the run's workspace."
    belongs = ""
    if alone:
        base = code(below(evidence, evidence.tuned.base))
        belongs = f" The adapter is in PEFT's layout and belongs to the base model {base}."
    elif evidence.adapter:
        beside = code(in_run(evidence, evidence.adapter["path"]))
        of = "" if evidence.mix_share is None else " of the tuned model, before it was mixed"
        belongs = f" The adapter alone{of}, in PEFT's layout, is {beside}."
    return f"The {kind} is {place}", belongs


def whole(evidence: Evidence, trust: str) -> list[str]:
    """Return Python lines that load a whole model."""
    return [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f"path = {json.dumps(in_run(evidence, evidence.model_path))}",
        f"tokenizer = AutoTokenizer.from_pretrained(path{trust})",
        f"model = {FROM}(path{trust})",
    ]


def adapter(evidence: Evidence, trust: str) -> list[str]:
    """Return Python lines that load an adapter on its base model."""
    return [
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f"base = {json.dumps(below(evidence, evidence.tuned.base))}",
        f"path = {json.dumps(in_run(evidence, evidence.model_path))}",
        f"tokenizer = AutoTokenizer.from_pretrained(base{trust})",
        f"model = PeftModel.from_pretrained({FROM}(base{trust}), path)",
    ]


def served(evidence: Evidence, trusted: bool) -> str:
    """Return the command by which vLLM serves the model, or why it cannot."""
    path = in_run(evidence, evidence.model_path)
    words = ["vllm", "serve", path]
    if evidence.tuned.base:
        if found := not_for_vllm(evidence.adapter):
            return f"vLLM cannot load this adapter ({code(', '.join(found))}): merge it first."
        words[2] = below(evidence, evidence.tuned.base)
        words += ["--enable-lora", "--max-lora-rank", str(vllm_rank(evidence.adapter))]
        words += ["--lora-modules", f"{evidence.run_id}={path}"]
    return f"```sh\n{shlex.join([*words, *(['--trust-remote-code'] if trusted else [])])}\n```"


def below(evidence: Evidence, path: str) -> str:
    """Return a path of the workspace as a reader sees it: on this machine where the run had no cluster."""
    return field(f"{claims.folder_of(evidence.claim) or 'WORKSPACE'}/{path}")


def in_run(evidence: Evidence, path: str) -> str:
    """Return a path of the run as a reader sees it."""
    return below(evidence, f"runs/{evidence.run_id}/{path}")
