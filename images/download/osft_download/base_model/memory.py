"""A bound of the memory that looking at a model may take, whatever its small files hold."""

from collections.abc import Iterator
from contextlib import contextmanager

from osft_workspace import UserError, printable
from osft_workspace.limits import limited_memory

MEMORY = 112 << 20
"""Bytes; a tokenizer of 262,144 tokens takes two thirds."""


@contextmanager
def bounded(uri: str) -> Iterator[None]:
    """Bound the memory of what is done inside. Raises UserError where it is not enough."""
    # Libraries are loaded before: where memory ends, the linker reports a damaged library.
    import transformers.models.auto.configuration_auto
    import transformers.models.auto.modeling_auto
    import transformers.models.auto.tokenization_auto  # noqa: F401

    try:
        with limited_memory(MEMORY):
            yield
    except MemoryError as error:
        raise UserError(
            f"reading the settings and the tokenizer of {printable(uri, 200)} takes more than "
            f"{MEMORY >> 20} MiB of memory, expected less. Look for a file of extreme size among its JSON "
            "files, or use another base model (model.uri)."
        ) from error
