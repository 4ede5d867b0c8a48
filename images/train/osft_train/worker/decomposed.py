"""OSFT's layers: the same products as mini-trainer's, in the order that takes the fewest operations.

A decomposed layer multiplies by `U_high S_high V_high + U_low S_low V_low`, of which the second part is
learned. mini-trainer 0.9.0 multiplies by each factor in turn, for any number of tokens, and FSDP converts all
of them to the format of the pass, forward and backward. Here

* a process that trains alone on a CPU holds the frozen part as one matrix in that format;
* elsewhere the factors are put together for a pass whose tokens are many enough.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.autograd.function import once_differentiable

from osft_train.patches import original, put

SETUP = "mini_trainer.setup_model_for_training"
CLASS, SHARD = f"{SETUP}:create_osft_model_class", f"{SETUP}:fully_shard"
FROZEN = ("osft_U_high", "osft_S_high", "osft_V_high")
HELD = "_held"
"""Attribute of a frozen U: what the matrix was made of and in which format, and the matrix."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides how many operations a layer takes."""

    outputs: int
    inputs: int
    high: int
    low: int

    def merges(self, tokens: int) -> bool:
        """Return whether forward and backward pass together take fewer multiplications with one matrix.

        Factor by factor, a token passes all ranks forward and backward, and the low ones once more for their
        gradients. With one matrix it passes that in place of the ranks, and the low ranks twice; putting it
        together takes all ranks once for each of its columns.
        """
        sides, dense = self.outputs + self.inputs, self.outputs * self.inputs
        ranks = self.high + self.low
        factored = tokens * sides * (2 * ranks + self.low)
        merged = tokens * (2 * dense + 2 * sides * self.low) + dense * ranks
        return merged < factored


class Decomposed(torch.autograd.Function):  # type: ignore[misc]
    """The layer, for one token a row, with gradients for the rows and the low factors."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, u: torch.Tensor, s: torch.Tensor, v: torch.Tensor, *high: torch.Tensor
    ) -> torch.Tensor:
        """Multiply; `high` is the frozen part, as one matrix or as U, S and V."""
        ctx.merged = len(high) > 1 and Shape(len(u), v.shape[1], len(high[1]), len(s)).merges(len(x))
        if ctx.merged:
            matrix = torch.addmm((u * s) @ v, high[0] * high[1], high[2])
            ctx.save_for_backward(x, u, s, v, matrix)
            return x @ matrix.T
        inner = x @ v.T
        ctx.save_for_backward(x, u, s, v, *high, inner)
        of_high = x @ high[0].T if len(high) == 1 else ((x @ high[2].T) * high[1]) @ high[0].T
        return of_high.addmm_(inner * s, u.T)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of the rows and of the low U, S and V."""
        x, u, s, v, *high = ctx.saved_tensors
        inner = x @ v.T if ctx.merged else high.pop()
        outer = gradient @ u
        scaled = outer * s
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = gradient @ high[0] if len(high) == 1 else ((gradient @ high[0]) * high[1]) @ high[2]
            of_x = of_x if ctx.merged else of_x.addmm_(scaled, v)
        low = gradient.T @ (inner * s), (inner * outer).sum(0), scaled.T @ x
        return of_x, *low, *(None for _ in range(len(ctx.needs_input_grad) - 4))


class Frozen:
    """The frozen part of a layer."""

    held: ClassVar[bool] = False
    """Whether it is held as one matrix."""

    @classmethod
    def get(cls, factors: Mapping[str, Any], kind: torch.dtype) -> tuple[torch.Tensor, ...]:
        """Return it: as the matrix that is held, made at its first use, or as FSDP gives its factors."""
        u, s, v = (factors[f"{letter}_high"] for letter in "USV")
        if not cls.held:
            return u, s, v
        made_of = (u._version, kind)
        held: tuple[Any, torch.Tensor] | None = getattr(u, HELD, None)
        if held is None or held[0] != made_of:
            held = made_of, ((u * s) @ v).to(kind)
            setattr(u, HELD, held)
        return (held[1],)


def forward(
    _: Any, x: torch.Tensor, factors: Mapping[str, torch.Tensor], bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Return what mini-trainer's `_factorized_linear` does."""
    rows = x.reshape(-1, x.shape[-1])
    low = (factors[f"{letter}_low"] for letter in "USV")
    result: torch.Tensor = Decomposed.apply(rows, *low, *Frozen.get(factors, x.dtype))
    result = result.reshape(*x.shape[:-1], result.shape[-1])
    return result if bias is None else result + bias


def install() -> None:
    """Put it in place."""
    make = original(CLASS)

    def make_class(base: type) -> Any:
        kind = make(base)
        kind._factorized_linear = forward
        return kind

    put(CLASS, make_class)


def hold_frozen() -> None:
    """Keep frozen factors out of FSDP where it has nothing to share."""
    shard = original(SHARD)

    def shard_rest(module: torch.nn.Module, **options: Any) -> Any:
        factors = {one for name, one in module.named_parameters() if name.endswith(FROZEN)}
        return shard(module, ignored_params=factors, **options)

    Frozen.held = int(os.environ["WORLD_SIZE"]) == 1
    if Frozen.held:
        put(SHARD, shard_rest)
