"""All checks of a model folder before a GPU is requested, in the order in which they become possible."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from osft_download.base_model.files import (
    ADAPTERS,
    INDEX,
    WEIGHTS,
    check_parts,
    fits,
    loaded_weights,
    wanted,
)
from osft_download.base_model.json_files import read_object
from osft_download.base_model.shapes import embeddings, hold, text_part
from osft_download.base_model.tokens import check_tokens
from osft_download.base_model.trust import check_tokenizer, check_type, code_files, known
from osft_download.base_model.values import check_values, tell_architecture
from osft_download.base_model.weights import check_not_quantised, read_tensors, settle_head, weight_map
from osft_rows.template import OLD_TEMPLATE
from osft_workspace import Run, UserError, printable, trust
from osft_workspace.model_sizes import sizes_in_bounds
from osft_workspace.text import sentence

QUIET = {"TRANSFORMERS_VERBOSITY": "error", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user allows."""

    trust: bool
    """Code that comes with the model may run."""
    resize: bool
    """The embeddings may get more rows."""


def prepare(wish: Wish) -> None:
    """Set what transformers reads when it is imported, and whether code of models may run."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    trust.enforce(trusted=wish.trust)


def select(
    run: Run, where: str, listed: Sequence[str], read: Callable[[str], Path], wish: Wish
) -> tuple[list[str], str]:
    """Choose the files of a model by its config and index.

    Args:
        listed: every file of the model.
        read: fetches one small file and returns its path.

    Returns:
        The files to copy, and the model's type.

    Raises:
        UserError: it is not a model that can be tuned.
    """
    check_parts(where, listed)
    names = wanted(listed, trust=wish.trust)
    config = read_object(read("config.json"), where)
    with understood(f"config.json of {where}"):
        sizes_in_bounds(config, where)
        kind = check_type(where, config, trust=wish.trust)
        check_not_quantised(where, config)
        tell_architecture(run, config, kind)
    if OLD_TEMPLATE in names:
        run.event(
            f"{OLD_TEMPLATE} is not read: transformers reads it for processors only",
            read="chat_template.jinja, or chat_template in tokenizer_config.json",
        )
    if not wish.trust and "tokenizer_config.json" in names:
        check_tokenizer(where, read_object(read("tokenizer_config.json"), where), names)
    shards: Mapping[str, str] = {}
    if WEIGHTS not in names and INDEX in names:
        shards = weight_map(where, read(INDEX))
        check_shards(where, shards, names)
        if known(kind):
            settings = configuration(where, read("config.json"))
            with understood(f"config.json of {where}"):
                check_values(where, config, settings, resize=wish.resize)
                hold(run, where, settings, dict.fromkeys(shards), {}, talk=False)
    return without_others(run, where, listed, names, list(shards.values())), kind


def without_others(
    run: Run, where: str, listed: Sequence[str], names: Sequence[str], shards: Sequence[str]
) -> list[str]:
    """Return the names without weights that transformers does not load, and log what is left out."""
    loaded = loaded_weights(where, names, shards)
    others = [name for name in names if name.endswith(".safetensors") and name not in loaded]
    others += [INDEX] if WEIGHTS in loaded and INDEX in names else []
    if left := sorted([*others, *(name for name in listed if fits(name, ADAPTERS))]):
        run.event(
            "files that transformers does not load as this model are left out",
            files=", ".join(printable(name, 80) for name in left[:8]),
        )
    return [name for name in names if name not in others]


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Turn an error that a value of the wrong kind causes into a message.

    The values come from outside, so no list of checks is complete.

    Args:
        what: the file that is read, as a sentence begins.

    Raises:
        UserError: naming the file and the cause.
    """
    try:
        yield
    except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError) as error:
        raise UserError(
            f"{what} has a value that cannot be used ({type(error).__name__}: "
            f"{sentence(error, 200).rstrip('.')}), expected what save_pretrained writes. Correct that value, "
            "or save the model again with save_pretrained."
        ) from error


def check_shards(where: str, shards: Mapping[str, str], names: Sequence[str]) -> None:
    """Raise UserError and name the files of the index that are missing."""
    if missing := sorted(set(shards.values()) - set(names)):
        raise UserError(
            f"{where} is not a complete model: {INDEX} lists "
            f"{', '.join(printable(name, 80) for name in missing[:4])}, which is missing. Download or "
            "save the model again."
        )


def configuration(where: str, path: Path) -> Any:
    """Read config.json as transformers does.

    Raises:
        UserError: it refuses a value.
    """
    from transformers import AutoConfig, __version__

    try:
        return AutoConfig.from_pretrained(path.parent, trust_remote_code=False, local_files_only=True)
    except MemoryError:
        raise
    except Exception as error:  # it names no types for values that it cannot use
        raise UserError(
            f"transformers {__version__} cannot use config.json of {where}: "
            f"{sentence(error, 300).rstrip('.')}. Correct that value, or save the model again with "
            "save_pretrained."
        ) from error


def check_whole(run: Run, where: str, folder: Path, names: Sequence[str], wish: Wish, *, talk: bool) -> bool:
    """Check a folder's weights and tokenizer against its configuration.

    Args:
        talk: whether to say what is ignored, and to leave out an output layer that config.json ties.

    Returns:
        Whether the weights were written again.

    Raises:
        UserError: naming what is missing, damaged, or does not fit.
    """
    raw = read_object(folder / "config.json", where)
    with understood(f"config.json of {where}"):
        kind = check_type(where, raw, trust=wish.trust)
    config = configuration(where, folder / "config.json") if known(kind) else SimpleNamespace(**raw)
    found = read_tensors(where, folder, [name for name in names if name.endswith(".safetensors")])
    shapes = {name: tensor.shape for name, tensor in found.items()}
    with understood(f"config.json of {where}"):
        check_not_quantised(where, raw, found)
        check_values(where, raw, config, resize=wish.resize)
        hold(run, where, config, shapes, {name: tensor.dtype for name, tensor in found.items()}, talk=talk)
        vocabulary = getattr(text_part(config), "vocab_size", None)
    rows = [shapes[name][0] for name in embeddings(found) if shapes[name]]
    if rows or type(vocabulary) is int:
        with understood(f"a tokenizer file of {where}"):
            check_tokens(run, where, folder, rows[0] if rows else int(vocabulary or 0), resize=wish.resize)
    return talk and settle_head(run, where, config, folder, found)


def code_left_out(listed: Sequence[str], wish: Wish) -> list[str]:
    """Return the code files that are not copied."""
    return [] if wish.trust else code_files(listed)
