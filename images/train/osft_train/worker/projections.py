"""OSFT's projections on a CPU: what mini-trainer computes, with fewer and faster operations.

A projection takes out of a matrix what lies in the frozen directions. Each step has four for each decomposed
matrix: two of gradients, and, after the optimizer, two of the factors themselves, which keep the directions
frozen.

* PyTorch gives products in float32 to MKL, which uses half of what an AMD processor can do. oneDNN, to which
  it gives those in bfloat16, uses all of it.
* Gradients of a pass in bfloat16 are projected in bfloat16 too, to whose precision they were computed. The
  factors are always projected in their own format.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from osft_train.patches import put

ENGINE = "mini_trainer.osft_utils"
LINEAR = "_linear_pointwise"
"""oneDNN's product, as PyTorch's compiler uses it."""


def times_transposed(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return `one @ other.T`."""
    if one.dtype == torch.float32 and hasattr(torch.ops.mkldnn, LINEAR):
        return getattr(torch.ops.mkldnn, LINEAR)(one, other, None, "none", [], "")
    return one @ other.T


def local(tensor: Any) -> torch.Tensor:
    """Return this process's part of a sharded matrix."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def whole(tensor: Any) -> torch.Tensor:
    """Return a sharded matrix with the parts of all processes."""
    alone = dist.get_world_size() == 1
    return local(tensor) if alone else tensor.full_tensor()


def take_out(factors: Mapping[str, Any], u: Any, v: Any, kind: torch.dtype) -> None:
    """Take the frozen directions out of columns `u` and rows `v`, either of which may be None.

    Rows of every matrix are spread over the processes. `kind` is the number format of the products.
    """
    if u is not None:
        high, columns = local(factors["U_high"]).to(kind), local(u)
        shares = times_transposed(columns.to(kind).T, high.T)
        if dist.get_world_size() > 1:
            dist.all_reduce(shares)
        columns.sub_(times_transposed(high, shares))
    if v is not None:
        high, rows = whole(factors["V_high"]).to(kind), local(v)
        rows.sub_(times_transposed(times_transposed(rows.to(kind), high), high.T))


def project_parameters(factors: Mapping[str, Any], *, skip_u: bool = False, cache_holder: Any = None) -> None:
    """Project the low U and V; see mini-trainer's function."""
    u, v = factors["U_low"], factors["V_low"]
    take_out(factors, None if skip_u else u.data, v.data, u.dtype)


def install(compute: str) -> None:
    """Put it in place; `compute` is the number format of forward and backward pass."""
    kind = getattr(torch, compute)

    def project_gradients(
        factors: Mapping[str, Any], *, skip_u: bool = False, cache_holder: Any = None
    ) -> None:
        take_out(factors, None if skip_u else factors["U_low"].grad, factors["V_low"].grad, kind)

    put(f"{ENGINE}:project_gradient_to_orthogonal_space", project_gradients)
    put(f"{ENGINE}:project_parameter_to_orthogonal_space", project_parameters)
