"""The methods: what each is called, and what it does where the options leave that open."""

from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from osft_plan.training import ADAPTERS, BATCHES, LORA, OSFT, QLORA, SFT
from osft_train.options import Options
from osft_workspace import UserError

__all__ = ["ADAPTERS", "LORA", "METHODS", "OF_METHODS", "OSFT", "QLORA", "SFT", "of_method", "settled"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a method takes where nothing is given."""

    learning_rate: float
    effective_batch_size: int


METHODS = {
    OSFT: Defaults(5e-6, BATCHES[OSFT]),  # training_hub's example of OSFT
    SFT: Defaults(5e-6, BATCHES[SFT]),
    LORA: Defaults(2e-4, BATCHES[LORA]),  # QLoRA (arXiv 2305.14314), table 9, for 7B and 13B
    QLORA: Defaults(2e-4, BATCHES[QLORA]),
}
OF_METHODS = {"lora_": ADAPTERS, "quantization_": (QLORA,)}
"""Beginnings of the names of options that only some methods have."""


def settled(options: Options) -> Options:
    """Return the options with the method's own values where none are given.

    Raises:
        UserError: an unknown method, or options of another one.
    """
    if options.method not in METHODS:
        raise UserError(f"--method (train.method) is {options.method!r}, expected {', '.join(METHODS)}.")
    for field in fields(options):
        for beginning, methods in OF_METHODS.items():
            default = field.default if field.default is not MISSING else []
            given = field.name.startswith(beginning) and getattr(options, field.name) != default
            if given and options.method not in methods:
                raise UserError(
                    f"--{field.name.replace('_', '-')} is for --method={' or '.join(methods)} "
                    f"(train.method), and the method is {options.method}: leave it out."
                )
    own = METHODS[options.method]
    return replace(
        options,
        learning_rate=options.learning_rate or own.learning_rate,
        effective_batch_size=options.effective_batch_size or own.effective_batch_size,
    )


def of_method(options: Options) -> dict[str, Any]:
    """Return the options that only some methods have and this one has."""
    beginnings = tuple(name for name, methods in OF_METHODS.items() if options.method in methods)
    return {name: value for name, value in asdict(options).items() if name.startswith(beginnings)}
