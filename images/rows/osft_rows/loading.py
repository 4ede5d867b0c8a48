"""Loading the tokenizer of a model's folder."""

import copyreg
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import IO, Any

from osft_rows.settings import Settings
from osft_workspace import UserError


def import_libraries() -> None:
    """Import what loads tokenizers and renders templates."""
    # Set before the import: without torch transformers says at every start that it has no models.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # processes, not threads, share the work
    import jinja2.sandbox  # noqa: F401
    import tokenizers  # noqa: F401
    import transformers.models.auto.tokenization_auto
    import transformers.utils.chat_template_utils  # noqa: F401

    with suppress(ModuleNotFoundError):  # only the images need it
        import sentencepiece  # noqa: F401


def load_tokenizer(settings: Settings) -> Any:
    """Return the tokenizer of the base model's folder.

    Raises:
        UserError: it cannot be loaded; the sentence says why, and names a library that is missing.
    """
    import_libraries()
    from transformers import AutoTokenizer

    try:
        with one_backend(), no_vocabulary_as_json():
            return AutoTokenizer.from_pretrained(
                settings.model, trust_remote_code=settings.trust_remote_code, local_files_only=True
            )
    except MemoryError:
        raise
    except Exception as error:  # transformers and tokenizers raise anything for files that they cannot read
        raise UserError(
            f"the base model's tokenizer cannot be loaded ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}). Name a model with a tokenizer that transformers reads "
            "(model.uri), or save it again with save_pretrained."
        ) from error


@contextmanager
def one_backend() -> Iterator[None]:
    """Let transformers use the backend that it has read, inside.

    It copies it, in case a caller keeps the original: by way of JSON text, which takes three times the memory
    of the tokenizer, and as long as reading it.
    """
    from tokenizers import Tokenizer

    # A reduction that is a text means the object itself, for copy as for pickle.
    copyreg.dispatch_table[Tokenizer] = lambda backend: "Tokenizer"
    try:
        yield
    finally:
        del copyreg.dispatch_table[Tokenizer]


@contextmanager
def no_vocabulary_as_json() -> Iterator[None]:
    """Let transformers forget the vocabulary of a tokenizer.json that it parses for its added tokens, inside.

    It parses it where tokenizer_config.json does not list them, as before version 4.34, and keeps all of it
    until the tokenizer is built: some 300 bytes for each token of the vocabulary.
    """
    from transformers import tokenization_utils_base as module

    def load(file: IO[str], **options: Any) -> Any:
        value = json.load(file, **options)
        if isinstance(value, dict) and "added_tokens" in value:
            value.pop("model", None)
        return value

    module.json = SimpleNamespace(**(vars(json) | {"load": load}))
    try:
        yield
    finally:
        module.json = json
