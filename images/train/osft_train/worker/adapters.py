"""Adapters in mini-trainer's loop, whose batches, schedule, states and log serve every method.

mini-trainer trains whole models that FSDP2 shards. Here each process holds a whole frozen base model, in 16
bits or in 4, and trains adapters of PEFT in float32; only their gradients travel, and only they are saved.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mini_trainer.setup_model_for_training import align_model_and_tokenizer

from osft_train.adapters import FOLDER, PREFIX, WEIGHTS, Adapter, Quantization, inject
from osft_train.patches import original, put
from osft_train.worker.lines import write_line
from osft_workspace import UserError

SETUP = "mini_trainer.setup_model_for_training"
STEP = "mini_trainer.train:take_gradient_step"


def learned(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return what is trained, by name: all that a full state must hold of the model."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def held_in_4_bits(quantization: Quantization) -> Any:
    """Return the configuration by which transformers loads a model for bitsandbytes."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.quant_type,
        bnb_4bit_compute_dtype=getattr(torch, quantization.compute_dtype),
        bnb_4bit_use_double_quant=quantization.double_quant,
    )


def check_rows(model: Any, tokenizer: Any) -> None:
    """Raise UserError where the embeddings would get more rows, which an adapter does not hold."""
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise UserError(
            f"the tokenizer has {len(tokenizer)} tokens and the base model's embeddings have {rows} rows: "
            "adapters leave the embeddings as they are. Use --method=osft or sft (train.method)."
        )


class AdapterModel:
    """Makes the model that the loop trains."""

    def __init__(self, adapter: Adapter, device: str, compute: str, *, keep: bool) -> None:
        self.adapter, self.keep = adapter, keep
        self.compute = getattr(torch, compute)
        local = int(os.environ["LOCAL_RANK"])
        self.device = torch.device("cpu") if device == "cpu" else torch.device("cuda", local)

    def setup(
        self,
        model_name_or_path: str,
        base_model_args: dict[str, Any],
        tokenizer: Any,
        ModelClass: Any,
        **_: Any,
    ) -> torch.nn.Module:
        """Load the base model and put the adapters into it (stock: an empty model, filled after sharding)."""
        given = {**base_model_args, "torch_dtype": self.compute, "device_map": {"": self.device}}
        if self.adapter.quantization:
            given["quantization_config"] = held_in_4_bits(self.adapter.quantization)
        model = ModelClass.from_pretrained(**given)
        check_rows(model, tokenizer)
        model = align_model_and_tokenizer(model, tokenizer)
        self.tell(model)
        model = inject(self.adapter, model)
        for weight in learned(model).values():
            weight.data = weight.data.float()
            dist.broadcast(weight.data, src=0)
        return model

    def tell(self, model: Any) -> None:
        """Write what the base model takes, for the stage to log."""
        if dist.get_rank() == 0:
            held = sum(type(module).__name__ == "Linear4bit" for module in model.modules())
            memory = round(model.get_memory_footprint() / 1e6, 1)
            facts = {"memory_mb": memory, "layers_in_4_bits": held or None}
            write_line(json.dumps({"event": "base model loaded", **facts}))

    def prepare(self, model: torch.nn.Module) -> torch.nn.Module:
        """Prepare its passes (stock: shard it); activations are computed again where memory is short."""
        model.config.use_cache = False
        if not self.keep:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        if self.compute is not torch.float32:
            model.forward = torch.autocast(self.device.type, self.compute)(model.forward)
        return model


def average_gradients(model: torch.nn.Module) -> None:
    """Give every process the mean of all gradients; one that has none for a weight counts as zero."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trained:
        weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
    together = torch.cat([weight.grad.flatten() for weight in trained])
    dist.all_reduce(together)
    together /= dist.get_world_size()
    for weight, mean in zip(trained, together.split([weight.numel() for weight in trained]), strict=True):
        weight.grad.copy_(mean.view_as(weight))


def save(
    model: Any, samples_seen: int, output_dir: str, *_: Any, suffix: str | None = None, **__: Any
) -> None:
    """Save the adapter in PEFT's layout (stock: a whole model); the stage merges it into the base model."""
    if dist.get_rank() == 0:
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        folder = Path(output_dir) / FOLDER / "_".join(filter(None, [f"samples_{samples_seen}", suffix]))
        folder.mkdir(parents=True, exist_ok=True)
        found = get_peft_model_state_dict(model)
        tensors = {f"{PREFIX}{name}": each.cpu().contiguous() for name, each in found.items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        model.peft_config["default"].save_pretrained(folder)  # last: it says that the folder is whole
    dist.barrier()


def install(adapter: Adapter, device: str, compute: str, *, keep: bool) -> None:
    """Put it in place.

    Args:
        device: cuda or cpu.
        compute: number format of the passes, and of the base model where it is not held in 4 bits.
        keep: keep the activations of the forward pass.
    """
    made = AdapterModel(adapter, device, compute, keep=keep)
    step = original(STEP)

    def averaged_step(model: Any, *args: Any, **options: Any) -> Any:
        average_gradients(model)
        return step(model, *args, **options)

    put(f"{SETUP}:setup_sft_model_distributed", made.setup)
    put(f"{SETUP}:wrap_fsdp2", made.prepare)
    put(f"{SETUP}:finalize_model_initialization", lambda model, _: model)
    put(STEP, averaged_step)
    put("mini_trainer.train:save_model", save)
    put("mini_trainer.full_state_checkpoint:get_model_state_dict", learned)
