"""What trains, and how: device, processes, number format, attention.

Flags decide what they can; every other choice is said with its reason.
"""

import importlib.util
import logging
import os
from dataclasses import dataclass, replace

from osft_plan import memory
from osft_plan.memory import GIB
from osft_plan.model import Model
from osft_train import planned, trackers
from osft_train.options import Options
from osft_workspace import Run, UserError, trust
from osft_workspace.cpus import set_torch_defaults, usable_cpus

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True)
class Device:
    """How the worker runs."""

    name: str
    """cuda or cpu."""
    processes: int
    """Processes on this node."""
    compute: str
    """Number format of forward and backward pass; weights and moments are float32."""
    attention: str
    liger: bool
    keep_activations: bool

    @property
    def backend(self) -> str:
        """Name under which this way to run is known to training_hub."""
        return f"mini-trainer-{self.name}"


def choose(run: Run, model: Model, options: Options) -> Device:
    """Decide everything about the device.

    Raises:
        UserError: GPUs are requested and not available.
    """
    gpus = options.gpus
    wanted = options.nproc_per_node
    processes = max(gpus, 1) if wanted == "auto" else int(wanted)
    if gpus:
        check_gpus(gpus, processes)
        run.choice("backend", "mini-trainer-cuda", f"{gpus} GPU a node asked for")
        liger = options.use_liger
        if liger and importlib.util.find_spec("liger_kernel") is None:
            liger = False
            run.choice("use_liger", False, "this image has no liger-kernel")
        return Device("cuda", processes, "bfloat16", attention(run), liger, False)
    set_threads()
    run.choice("backend", "mini-trainer-cpu", "train.gpus is 0")
    if options.use_liger:
        run.choice("use_liger", False, "Liger's kernels need a GPU")
    compute = compute_on_cpu(run)
    kept = keeps_activations(run, model, options, processes, compute)
    return Device("cpu", processes, compute, "sdpa", False, kept)


def set_threads() -> None:
    """Start no threads that compute: the worker is a fork of this process, and they do not survive that."""
    import torch

    torch.set_num_threads(1)


def check_gpus(gpus: int, processes: int) -> None:
    """Raise UserError where torch sees fewer GPUs than the values ask for."""
    import torch

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if seen < gpus or processes > gpus:
        raise UserError(
            f"train.gpus (--gpus) is {gpus} with {processes} processes, and torch sees {seen} GPUs here. "
            "Each process needs its own: check the pod's GPU resource and the node's driver, or set "
            "train.gpus to 0 to train on the CPU."
        )


def attention(run: Run) -> str:
    """Return the attention kernel on a GPU; both keep packed rows apart."""
    if importlib.util.find_spec("flash_attn"):
        run.choice("attention", "flash_attention_2", "flash-attn is installed")
        return "flash_attention_2"
    run.choice("attention", "sdpa", "flash-attn is not installed; packed rows stay apart with sdpa too")
    return "sdpa"


def compute_on_cpu(run: Run) -> str:
    """bfloat16 where the processor has it in hardware; elsewhere it is many times slower than float32."""
    import torch

    if bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        run.choice("compute", "bfloat16", "this processor multiplies bfloat16 in hardware")
        return "bfloat16"
    run.choice("compute", "float32", "this processor has no bfloat16 arithmetic")
    return "float32"


def keeps_activations(run: Run, model: Model, options: Options, processes: int, compute: str) -> bool:
    """Return whether a pass leaves few enough activations to keep them, which saves a quarter of the work."""
    wanted = planned.training(options, processes=processes, compute=compute, attention="sdpa")
    tokens = options.max_tokens_per_gpu
    kept = memory.keeps(model, wanted, tokens)
    needed = memory.activations(model, replace(wanted, keep_activations=True), tokens)
    run.choice(
        "keep_activations",
        kept,
        f"{tokens} tokens need {needed / GIB:.1f} GiB; up to {memory.KEEP_BYTES / GIB:.1f} GiB are kept",
    )
    return kept


def prepare_process(options: Options) -> None:
    """Set what libraries read from the environment when they are imported, and what may run."""
    trust.enforce(trusted=options.trust_remote_code)
    asked = {"mlflow": options.mlflow_tracking_uri, "wandb": options.wandb_project}
    trackers.hide_unused([name for name, value in asked.items() if value])
    logging.basicConfig(level=logging.WARNING)  # before mini-trainer, which would log its whole command line
    # It warns that a kernel for inference on a CPU is missing, which no method needs.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    set_torch_defaults(os.environ)
    os.environ.update(OFFLINE)
    if not options.gpus:
        # Numba would compile for longer than packing takes.
        os.environ.update(CUDA_VISIBLE_DEVICES="", NUMBA_DISABLE_JIT="1")
    if options.nnodes == 1:
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            os.environ.pop(f"PET_{name}", None)  # one node needs no name service
            os.environ.pop(name, None)


def worker_env(device: Device) -> dict[str, str]:
    """Environment of the worker processes; what the user set for the thread libraries stays."""
    # mini-trainer's own switch from flash-attn to sdpa
    env = {**os.environ, "TESTING": str(device.attention == "sdpa").lower()}
    if device.name == "cpu":
        env.setdefault("OMP_NUM_THREADS", str(max(usable_cpus() // device.processes, 1)))
    return env
