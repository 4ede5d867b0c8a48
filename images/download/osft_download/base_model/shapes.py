"""The tensors of a base model, checked against the architecture that its config.json describes.

Nothing is built: names and shapes come from headers, expectations from the configuration. What transformers
would fill with random numbers is refused by name; what it ignores is said.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from osft_download.base_model.json_files import WHOLE
from osft_plan.layouts import Shape, expected
from osft_workspace import Run, UserError, printable

HEAD = "lm_head.weight"
EMBEDDING = re.compile(r"(^|.*\.)(embed_tokens|wte|word_embeddings|embed_in)\.weight")
LAYER = re.compile(r"(.*?)(?:^|(?<=\.))(?:layers|h|blocks|block|layer)\.(\d+)\.(.+)")
BUFFERS = re.compile(r"rotary_emb\.(original_)?inv_freq$|\.attn\.(masked_)?bias$|\.position_ids$")
OTHER_PARTS = re.compile(r"vision|visual|audio|image|mm_projector|multi_modal")
FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
SHOWN = 4


def hold(
    run: Run,
    where: str,
    config: Any,
    found: Mapping[str, Shape | None],
    dtypes: Mapping[str, str],
    *,
    talk: bool,
) -> None:
    """Check tensors against the architecture.

    Args:
        config: as transformers reads it, or `Raw` for a type that only trusted code knows.
        found: names and shapes; None for a shape that only a file's header says.
        dtypes: number formats, as far as they are known.
        talk: whether to say what is ignored.

    Raises:
        UserError: a weight is missing, or has another shape or a format that cannot be tuned.
    """
    text = text_part(config)
    core = expected(text)
    layers = getattr(text, "num_hidden_layers", None)
    if core is None:
        check_layers(where, text, layers, found)
        check_embedding(where, text, found)
        wanted: set[str] = set()
    else:
        named = with_prefix(config, core, found)
        check_names(where, str(text.model_type), named, found)
        wanted = set(named)
    check_head(where, config, core is not None, found)
    check_formats(where, wanted, dtypes)
    ignored = surplus(found, wanted, layers)
    if ignored and talk:
        run.event(
            "tensors that this architecture does not take are ignored",
            tensors=len(ignored),
            names=", ".join(printable(name, 120) for name in ignored[:SHOWN]),
        )


def text_part(config: Any) -> Any:
    """Return the configuration of the language model's part."""
    try:
        return config.get_text_config(decoder=True)
    except (AttributeError, TypeError, ValueError):
        return config


def with_prefix(config: Any, core: Mapping[str, Shape], found: Iterable[str]) -> dict[str, Shape]:
    """Return what is expected under the names that the files use.

    transformers takes `model.` or nothing before them; a model of text and images puts its language model
    deeper.
    """
    names = set(found)
    tried = ["model.", ""]
    if text_part(config) is not config:
        tried += sorted(
            {
                name.removesuffix("embed_tokens.weight")
                for name in names
                if name.endswith("embed_tokens.weight")
            }
        )
    best = max(tried, key=lambda prefix: sum(prefix + name in names for name in core))
    return {best + name: shape for name, shape in core.items()}


def check_names(
    where: str, kind: str, wanted: Mapping[str, Shape], found: Mapping[str, Shape | None]
) -> None:
    """Raise UserError for weights that are missing or have another shape than the table says."""
    if missing := [name for name in wanted if name not in found]:
        raise UserError(
            f"{where} lacks {len(missing)} of the {len(wanted)} weights of its architecture ({kind}): "
            f"{listed(missing)}. {instead(found, missing)}Without them training would begin with random "
            f"numbers. {WHOLE}"
        )
    other = [name for name, shape in wanted.items() if found[name] not in (None, shape)]
    if other:
        name = other[0]
        raise UserError(
            f"{name} of {where} has the shape {list(found[name] or ())}, and config.json asks for "
            f"{list(wanted[name])} ({len(other)} weights differ). Use the config.json that belongs to these "
            f"weights. {WHOLE}"
        )


def instead(found: Iterable[str], missing: Sequence[str]) -> str:
    """Return a sentence on a prefix before every name, as wrappers of training leave it."""
    for name in found:
        if name.endswith(missing[0]) and name != missing[0]:
            prefix = printable(name.removesuffix(missing[0]), 80)
            return f"Its names begin with '{prefix}', which transformers does not expect. "
    return ""


def check_layers(where: str, config: Any, layers: Any, found: Iterable[str]) -> None:
    """Raise UserError where the layers of an architecture without a table are not all there and alike."""
    groups: dict[str, dict[int, set[str]]] = {}
    for name in found:
        at = LAYER.fullmatch(name)
        if at and not OTHER_PARTS.search(at[1]):
            groups.setdefault(at[1], {}).setdefault(int(at[2]), set()).add(at[3])
    if not groups or type(layers) is not int:
        return
    prefix, there = max(groups.items(), key=lambda item: len(item[1]))
    if absent := [number for number in range(layers) if number not in there]:
        raise UserError(
            f"{where} lacks {len(absent)} of its {layers} layers: the first is {printable(prefix, 80)}layers."
            f"{absent[0]}. Without them training would begin with random numbers. {WHOLE}"
        )
    kinds = getattr(config, "layer_types", None)
    kinds = kinds if isinstance(kinds, list) and len(kinds) >= layers else [""] * layers
    for number in range(1, layers):  # some architectures leave something out of the first layer
        alike = [there[other] for other in range(layers) if other != number and kinds[other] == kinds[number]]
        whole = next((names for names in alike if names > there[number]), None)
        if whole and alike.count(whole) > len(alike) / 2 and there[number] not in alike:
            gone = sorted(whole - there[number])
            raise UserError(
                f"layer {number} of {where} lacks {listed(gone)}, which the other layers have. Without them "
                f"training would begin with random numbers. {WHOLE}"
            )


def check_embedding(where: str, config: Any, found: Mapping[str, Shape | None]) -> None:
    """Raise UserError where the embeddings of an architecture without a table do not fit its vocabulary."""
    rows = getattr(config, "vocab_size", None)
    shapes = {name: found[name] for name in embeddings(found)}
    if len(shapes) == 1 and type(rows) is int:
        ((name, shape),) = shapes.items()
        if shape and shape[0] != rows:
            raise UserError(
                f"{name} of {where} has {shape[0]} rows, and config.json gives vocab_size as {rows}. Use the "
                f"config.json that belongs to these weights. {WHOLE}"
            )


def embeddings(found: Iterable[str]) -> list[str]:
    """Return the names of the input embeddings."""
    return [name for name in found if EMBEDDING.fullmatch(name) and not OTHER_PARTS.search(name)]


def check_head(where: str, config: Any, known: bool, found: Mapping[str, Shape | None]) -> None:
    """Raise UserError where the output layer is neither there nor tied to the embeddings."""
    tied = any(getattr(part, "tie_word_embeddings", None) for part in (config, text_part(config)))
    heads = [name for name in found if name == HEAD or name.endswith(f".{HEAD}")]
    if known and not heads and not tied:
        raise UserError(
            f"{where} lacks {HEAD}, and its config.json does not tie the output layer to the embeddings "
            "(tie_word_embeddings is false or missing), so training would begin with random numbers there. "
            "Set tie_word_embeddings to true in config.json if the model was trained so, or name a whole "
            "model."
        )
    rows = [shape for name in embeddings(found) if (shape := found[name])]
    for name in heads:
        shape = found[name]
        if known and shape and rows and shape != rows[0]:
            raise UserError(
                f"{name} of {where} has the shape {list(shape)}, and the embeddings have {list(rows[0])}, "
                f"expected the same. {WHOLE}"
            )


def check_formats(where: str, wanted: Iterable[str], dtypes: Mapping[str, str]) -> None:
    """Raise UserError for a weight that is not floating-point."""
    for name in wanted:
        if dtypes.get(name, "F32") not in FLOATS:
            raise UserError(
                f"{name} of {where} is {dtypes[name]}, and tuning needs float16, bfloat16 or float32. {WHOLE}"
            )


def surplus(found: Iterable[str], wanted: set[str], layers: Any) -> list[str]:
    """Return the tensors that transformers leaves out, as far as that is known."""
    ignored = []
    for name in found:
        at = LAYER.fullmatch(name)
        beyond = bool(at and type(layers) is int and int(at[2]) >= layers and not OTHER_PARTS.search(at[1]))
        foreign = bool(wanted) and name not in wanted and not name.endswith(HEAD) and name != "lm_head.bias"
        if beyond or foreign or BUFFERS.search(name):
            ignored.append(name)
    return ignored


def listed(names: Sequence[str]) -> str:
    """Return the first few names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(printable(name, 120) for name in names[:SHOWN]) + more
