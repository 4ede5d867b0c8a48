"""The training that is planned: what of the values decides its memory, its steps and its time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from osft_plan.rows import Rows
from osft_workspace import UserError, printable

OSFT, SFT, LORA, QLORA = "osft", "sft", "lora", "qlora"
ADAPTERS = (LORA, QLORA)
"""They train adapters and leave the base model's own weights as they are."""
BATCHES = {OSFT: 128, SFT: 128, LORA: 16, QLORA: 16}
"""Rows of a step where nothing is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a model is to be tuned."""

    method: str = OSFT
    ratio: float = 0.25
    """Share of each matrix that OSFT trains."""
    patterns: tuple[str, ...] = ()
    """Parts of the names of the matrices that it decomposes; empty: by the model's type."""
    rank: int = 8
    """Of adapters."""
    adapted: tuple[str, ...] = ()
    """Endings of the names of the layers that get one; empty: every layer but the output layer."""
    gpus: int = 1
    """Of a node; 0: the CPU."""
    nodes: int = 1
    processes: int = 1
    """Of a node."""
    batch: int = BATCHES[OSFT]
    """Rows of an optimizer step, over all nodes."""
    tokens: int = 64000
    """Largest number of tokens of a process at a time. 0: as many as fit (`auto`)."""
    longest: int = 8192
    """Rows of this many tokens or more are dropped."""
    epochs: int = 1
    max_steps: int = 0
    block: int = 0
    """Tokens of a block of plain text; 0: rows are trained on as they are."""
    liger: bool = True
    states: bool = True
    """Whether full states are saved."""
    keep_epochs: bool = False
    """Whether a model of every epoch is kept."""
    keep_factors: bool = True
    """Whether decompositions are kept for the next training."""
    compute: int = 2
    """Bytes of a number in the forward pass."""
    keep_activations: bool = False
    """Whether the activations of the forward pass stay in memory; otherwise they are computed again."""
    masks: bool = True
    """Whether a mask keeps rows apart, as with PyTorch's own attention; flash-attn needs none."""

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the training of the values of `train`, as the chart has them.

        Raises:
            UserError: a value has another type than the chart's.
        """
        try:
            return cls._of(values)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise UserError(
                f"the values of train cannot be read ({printable(str(error), 120)}), expected those of the "
                "chart's `train`. Correct them, or use the chart of this version."
            ) from error

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> Self:
        method = str(values.get("method", OSFT))
        gpus, given = int(values.get("gpus", 1)), str(values.get("processesPerNode", "auto"))
        lora, saved = values.get("lora") or {}, values.get("checkpoints") or {}
        plain = values.get("pretraining") or {}
        tokens = str(values.get("maxTokensPerGpu", 64000))
        return cls(
            method=method,
            ratio=float(values.get("unfreezeRankRatio", 0.25)),
            patterns=tuple(map(str, values.get("targetPatterns") or ())),
            rank=int(lora.get("r", 8)),
            adapted=tuple(map(str, lora.get("targetModules") or ())),
            gpus=gpus,
            nodes=int(values.get("nodes", 1)),
            processes=max(gpus, 1) if given == "auto" else int(given),
            batch=int(values.get("effectiveBatchSize") or BATCHES[method]),
            tokens=0 if tokens == "auto" else int(tokens),
            longest=int(values.get("maxSequenceLength", 8192)),
            epochs=int(values.get("epochs", 1)),
            max_steps=int(values.get("maxSteps") or 0),
            block=int(plain.get("blockSize") or 0) if plain.get("enabled") else 0,
            liger=bool(values.get("useLiger", True)),
            states=bool(saved.get("onPreemption", True)),
            keep_epochs=bool(saved.get("everyEpoch", False)),
            keep_factors=bool(values.get("svdCache", True)),
        )

    @property
    def world(self) -> int:
        """Processes of all nodes."""
        return self.processes * self.nodes

    def rows(self, given: Rows) -> Rows:
        """Return what batches are made of: the rows that are short enough, or blocks of plain text."""
        return given.blocks(self.block) if self.block else given.below(self.longest)

    def steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps of one pass over rows, or blocks."""
        return math.ceil(rows / self.batch)

    def steps(self, rows: int) -> int:
        """Optimizer steps of the run."""
        whole = self.steps_per_epoch(rows) * self.epochs
        return min(whole, self.max_steps or whole)

    def most_tokens(self, rows: Rows) -> int:
        """Return the tokens of a process beyond which a larger limit changes nothing: its part of a batch."""
        return max(math.ceil(rows.largest_batch(self.batch) / self.world), rows.longest)

    def tokens_at_a_time(self, rows: Rows) -> int:
        """Return the most tokens that a process has at a time."""
        most = self.most_tokens(rows)
        return min(self.tokens, most) if self.tokens else most
