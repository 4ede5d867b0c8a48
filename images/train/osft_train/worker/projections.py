"""OSFT's projections on a CPU: the same as mini-trainer's, by the library that is faster at them.

A projection takes out of a matrix what lies in the frozen directions; each step has four for each decomposed
matrix, in float32. PyTorch gives products in float32 to MKL, which uses half of what an AMD processor can do;
oneDNN, to which it gives those in bfloat16, uses all of it.
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
        return getattr(torch.ops.mkldnn, LINEAR)(one, other, None, "none", [], "")  # type: ignore[no-any-return]
    return one @ other.T


def local(tensor: Any) -> torch.Tensor:
    """Return this process's part of a sharded matrix."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor  # type: ignore[no-any-return]


def whole(tensor: Any) -> torch.Tensor:
    """Return a sharded matrix with the parts of all processes."""
    alone = dist.get_world_size() == 1
    return local(tensor) if alone else tensor.full_tensor()


def take_out(factors: Mapping[str, Any], u: Any, v: Any) -> None:
    """Take the frozen directions out of columns `u` and rows `v`, either of which may be None.

    Rows of every matrix are spread over the processes.
    """
    if u is not None:
        high, columns = local(factors["U_high"]), local(u)
        shares = times_transposed(columns.T, high.T)
        if dist.get_world_size() > 1:
            dist.all_reduce(shares)
        columns.sub_(times_transposed(high, shares))
    if v is not None:
        high, rows = whole(factors["V_high"]), local(v)
        rows.sub_(times_transposed(times_transposed(rows, high), high.T))


def project_gradients(factors: Mapping[str, Any], *, skip_u: bool = False, cache_holder: Any = None) -> None:
    """Project the gradients of the low U and V; see mini-trainer's function."""
    u = None if skip_u else factors["U_low"].grad
    take_out(factors, u, factors["V_low"].grad)


def project_parameters(factors: Mapping[str, Any], *, skip_u: bool = False, cache_holder: Any = None) -> None:
    """Project the low U and V; see mini-trainer's function."""
    u = None if skip_u else factors["U_low"].data
    take_out(factors, u, factors["V_low"].data)


def install() -> None:
    """Put it in place."""
    put(f"{ENGINE}:project_gradient_to_orthogonal_space", project_gradients)
    put(f"{ENGINE}:project_parameter_to_orthogonal_space", project_parameters)
