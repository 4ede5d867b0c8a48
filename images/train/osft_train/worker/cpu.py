"""mini-trainer without CUDA: the spots of version 0.9.0 that name CUDA, pointed at the CPU.

Everything else (data loading, packing, FSDP2, the SVD, the loop, saving) is mini-trainer's own
code.
"""

import os
import sys
import types
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy

from osft_train.patches import original, put
from osft_train.worker import decomposed, projections

SETUP = "mini_trainer.setup_model_for_training"
SAVE = "safetensors.torch:save_file"
GROUP_TIMEOUT = timedelta(minutes=180)  # mini-trainer's own


def init_gloo() -> None:
    """Join the process group over gloo and see that it adds up (stock: NCCL on cuda:<rank>)."""
    dist.init_process_group("gloo", timeout=GROUP_TIMEOUT)
    total = torch.ones(1)
    dist.all_reduce(total)
    if int(total.item()) != dist.get_world_size():
        raise RuntimeError(f"{int(total.item())} of {dist.get_world_size()} processes answered")


class TorchOnCpu(types.ModuleType):
    """The torch module, whose CUDA devices are the CPU."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def device(kind: Any, *index: int) -> torch.device:
        """`torch.device`, without CUDA."""
        return torch.device("cpu") if str(kind).startswith("cuda") else torch.device(kind, *index)


class OsInFork(types.ModuleType):
    """The os module, whose `_exit` lets torchrun know: it waits for what a function returns."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @staticmethod
    def _exit(code: int) -> None:
        sys.exit(code)


def without_shared_memory(save: Any) -> Any:
    """Copy tensors that share memory before they are saved.

    Offloading to the CPU copies on a GPU and does not on a CPU, so tied embeddings are still one tensor with
    two names here, and safetensors refuses those.
    """

    def save_file(tensors: dict[str, torch.Tensor], path: str | Path, *args: Any, **options: Any) -> Any:
        seen: set[int] = set()
        own = {}
        for name, tensor in tensors.items():
            own[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
            seen.add(tensor.data_ptr())
        return save(own, path, *args, **options)

    return save_file


def keep_activations(block: torch.nn.Module, **_: Any) -> torch.nn.Module:
    """Leave a block as it is (stock: recompute its activations in the backward pass to save GPU memory)."""
    return block


def install(compute: str, *, keep: bool) -> None:
    """Point every spot at the CPU.

    Args:
        compute: number format of forward and backward pass (stock: bfloat16).
        keep: keep the activations of the forward pass.
    """
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # read when torch was imported, in the stage
    put("mini_trainer.train:init_distributed_environment", init_gloo)
    put(f"{SETUP}:init_device_mesh", lambda _, *shape, **options: init_device_mesh("cpu", *shape, **options))
    put("mini_trainer.osft_utils:torch", TorchOnCpu("torch"))
    put("mini_trainer.train:os", OsInFork("os"))
    put("torch.cuda:reset_peak_memory_stats", lambda *_: None)
    put(SAVE, without_shared_memory(original(SAVE)))
    projections.install(compute)
    decomposed.hold_frozen()
    if compute == "float32":
        put(f"{SETUP}:MixedPrecisionPolicy", lambda **_: MixedPrecisionPolicy())
    if keep:
        put(f"{SETUP}:ptd_checkpoint_wrapper", keep_activations)
