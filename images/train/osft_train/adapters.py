"""Low-rank adapters: what is trained instead of the base model's own weights, as the options ask for it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from osft_train import weights
from osft_train.base import Base, building, empty_model
from osft_train.methods import ADAPTERS, QLORA
from osft_train.options import Options
from osft_workspace import Run, UserError

FOLDER = "adapters"
"""In checkpoints/: one folder in PEFT's layout for each saved model, named like the model."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Of the names of an adapter's tensors, before the module's name."""
ALL_LINEAR = "all-linear"
"""PEFT's word for every linear layer but the output layer."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How bitsandbytes holds the base model in 4 bits."""

    quant_type: str
    compute_dtype: str
    double_quant: bool


@dataclass(frozen=True, slots=True)
class Adapter:
    """What PEFT is asked for."""

    r: int
    alpha: float
    dropout: float
    target_modules: list[str]
    """Parts of names; empty: every linear layer but the output layer."""
    bias: str
    use_dora: bool
    use_rslora: bool
    quantization: Quantization | None
    """None: the base model is held in the number format of the forward pass."""

    @classmethod
    def of(cls, options: Options) -> Self | None:
        """Return the adapters of a method that trains them, otherwise None."""
        if options.method not in ADAPTERS:
            return None
        return cls(
            r=options.lora_r,
            alpha=options.lora_alpha,
            dropout=options.lora_dropout,
            target_modules=options.lora_target_modules,
            bias=options.lora_bias,
            use_dora=options.lora_use_dora,
            use_rslora=options.lora_use_rslora,
            quantization=Quantization(
                options.quantization_type,
                options.quantization_compute_dtype,
                options.quantization_double,
            )
            if options.method == QLORA
            else None,
        )

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what `written` wrote."""
        said = json.loads(text)
        held = said.pop("quantization")
        return cls(**said, quantization=Quantization(**held) if held else None)

    def written(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    def config(self) -> Any:
        """Return PEFT's configuration."""
        from peft import LoraConfig

        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self.target_modules or ALL_LINEAR,
            bias=self.bias,
            use_dora=self.use_dora,
            use_rslora=self.use_rslora,
        )


def inject(adapter: Adapter, model: Any, *, empty: bool = False) -> Any:
    """Put adapters into a model, whose own weights no longer learn, and return it.

    Args:
        empty: without memory for their numbers.

    Raises:
        ValueError: the model has no such modules.
    """
    from peft import inject_adapter_in_model

    return inject_adapter_in_model(adapter.config(), model, low_cpu_mem_usage=empty)


def check(run: Run, base: Base, adapter: Adapter) -> None:
    """Put the adapters into the model without its weights, and log what is trained.

    Raises:
        UserError: the model has no such modules, or their weights have other names in its files.
    """
    with building(base.where):
        model = empty_model(base.path, trust_remote_code=base.trust_remote_code)
    own = dict(model.named_modules())
    try:
        inject(adapter, model, empty=True)
    except ValueError as error:
        names = sorted({name.rpartition(".")[2] for name, module in own.items() if is_linear(module)})
        raise UserError(
            f"--lora-target-modules (train.lora.targetModules) is {', '.join(adapter.target_modules)}, and "
            f"the base model ({base.model_type}) has no such linear layers. It has {', '.join(names)}."
        ) from error
    modules = [name.removesuffix(".lora_A") for name, _ in model.named_modules() if name.endswith(".lora_A")]
    given = weights.tensors(base.path)
    lost = [name for name in modules if f"{name}.weight" not in given]
    if lost or not modules:
        raise UserError(
            f"{base.where} ({base.model_type}) names its weights otherwise than its layers ("
            f"{', '.join(lost[:4]) or 'no linear layer'}), so adapters would not fit them. Use --method=osft "
            "or sft (train.method) for it."
        )
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    run.event("adapters", modules=len(modules), rank=adapter.r, trained_parameters=trained)


def is_linear(module: Any) -> bool:
    """Return whether a module multiplies by a matrix, as layers do that take adapters."""
    return type(module).__name__ in ("Linear", "Conv1D")


def saved(checkpoints: Path) -> list[Path]:
    """Folders of adapters that training has saved."""
    return sorted(path for path in (checkpoints / FOLDER).glob("*") if (path / CONFIG).is_file())
