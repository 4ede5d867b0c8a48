"""Models on disk: a whole one, or an adapter of PEFT together with its base model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osft_workspace import UserError
from osft_workspace.tuned import VLLM_RANKS, not_for_vllm, vllm_rank


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a model lies."""

    folder: Path
    """Configuration, tokenizer and weights."""
    adapter: Path | None = None
    """What is added to these weights."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the record of train says of the adapter."""
    title: str = ""
    """What messages call it. Empty: by its part in the comparison, `base` or `tuned`."""
    make: Callable[[], None] | None = None
    """Writes the model, before it is loaded; None: it is there."""

    @property
    def kind(self) -> str:
        """`model` or `adapter`."""
        return "adapter" if self.adapter else "model"

    @property
    def path(self) -> Path:
        """The folder that stands for the model."""
        return self.adapter or self.folder

    def for_vllm(self) -> dict[str, Any]:
        """Return what lm-eval's vLLM model needs beyond the folder."""
        if self.adapter is None:
            return {}
        return {"lora_local_path": str(self.adapter), "max_lora_rank": vllm_rank(self.facts)}

    def require(self, backend: str) -> None:
        """Check that a backend can load the adapter. Raise UserError with the remedy otherwise."""
        if backend in ("vllm", "auto") and self.adapter and (found := not_for_vllm(self.facts)):
            raise UserError(
                f"eval.backend is {backend}, train.lora.merge is false and {' and '.join(found)}: vLLM loads "
                f"only adapters without DoRA and biases, up to rank {max(VLLM_RANKS)}. Set train.lora.merge "
                "to true, or eval.backend to hf."
            )
