"""Whether training has changed anything: the tuned weights against the base's, up to the first difference."""

from pathlib import Path
from typing import Any

from osft_train import weights

NOISE = 1e-5
"""Mean change of a matrix, as a share of its mean size, that its decomposition alone may make."""
WHOLE_MATRICES = ("embed_tokens.weight", "lm_head.weight", "wte.weight")
"""Matrices that are never taken apart."""


def first_change(tuned: Path, base: Path) -> str | None:
    """Return the first tensor that differs, the smallest looked at first; None where none does.

    Tensors under other names than the base's count as changed.
    """
    ours, theirs = weights.tensors(tuned), weights.tensors(base)
    for name in sorted(ours, key=lambda name: ours[name].end - ours[name].start):
        if name not in theirs:
            return name
        if ours[name].shape != theirs[name].shape:
            continue  # rows that were added do not show that it learned
        if not weights.same_bytes(ours[name], theirs[name]) and differs(name, ours[name], theirs[name]):
            return name
    return None


def has_learned(adapter: Path) -> bool:
    """Return whether an adapter changes a model: its second matrices are zero before the first step."""
    found = weights.tensors(adapter)
    return any(bool(value(name, found[name]).any()) for name in found if ".lora_B." in name)


def differs(name: str, ours: weights.Tensor, theirs: weights.Tensor) -> bool:
    """Return whether a tensor has changed by more than its number format and its decomposition explain."""
    now, before = value(name, ours), value(name, theirs)
    before = before.to(now.dtype)
    if now.ndim != 2 or name.endswith(WHOLE_MATRICES):
        return not bool((now == before).all())
    now, before = now.float(), before.float()
    return bool((now - before).abs().mean() > NOISE * before.abs().mean())


def value(name: str, tensor: weights.Tensor) -> Any:
    """Load one tensor."""
    from safetensors import safe_open

    with safe_open(tensor.file, "pt") as file:
        return file.get_tensor(name)
