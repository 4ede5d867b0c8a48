"""The model that goes on from a run: a whole model, or an adapter that belongs to its base model.

Every stage and program that uses what was tuned finds it here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from osft_workspace.exits import UserError
from osft_workspace.text import printable

VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as `max_lora_rank`."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Where it lies."""

    path: str
    """Below the run."""
    base: str
    """Below the workspace: the model that the adapter in `path` belongs to. Empty for a whole model."""

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Self:
        """Return the model that the details of a record of train or eval name."""
        model = details["model"]
        return cls(str(model["path"]), str(model.get("base") or ""))

    @classmethod
    def of_run(cls, records: Mapping[str, Any]) -> Self | None:
        """Return the model that a run's records name as read from JSON; None where training has none.

        The record of eval comes first: evaluation may have chosen another model than train's.
        """
        for stage in ("eval", "train"):
            details = (records.get(stage) or {}).get("details") or {}
            if (details.get("model") or {}).get("path"):
                return cls.of(details)
        return None

    @property
    def kind(self) -> str:
        """`model` or `adapter`."""
        return "adapter" if self.base else "model"


def adapter_of(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the details of train say of its adapter. Raises UserError where they say nothing."""
    adapter: Mapping[str, Any] | None = details["adapter"]
    if not adapter:
        raise UserError(
            "the record of train names an adapter as its model and has no adapter in its details. Run train "
            "again, with images of one version."
        )
    return adapter


def vllm_rank(adapter: Mapping[str, Any]) -> int:
    """Return the `max_lora_rank` with which vLLM loads an adapter of which `not_for_vllm` finds nothing."""
    return min(rank for rank in VLLM_RANKS if rank >= adapter["r"])


def not_for_vllm(adapter: Mapping[str, Any]) -> list[str]:
    """Return the settings of an adapter, as a record of train names it, with which vLLM cannot load it."""
    found = {
        "train.lora.useDora is true": adapter["use_dora"],
        f"train.lora.bias is {printable(adapter['bias'], 40)}": adapter["bias"] != "none",
        f"train.lora.r is {adapter['r']}": adapter["r"] > max(VLLM_RANKS),
    }
    return [words for words, is_so in found.items() if is_so]
