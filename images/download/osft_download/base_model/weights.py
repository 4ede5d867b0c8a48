"""The weight files of a base model: which tensors they hold, and that those are plain numbers."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from osft_download.base_model.files import INDEX
from osft_download.base_model.headers import Tensor, read_header, rewrite_without, same_bytes
from osft_download.base_model.json_files import WHOLE, read_object
from osft_download.base_model.shapes import HEAD, embeddings, text_part
from osft_workspace import Run, UserError, printable, write_atomic
from osft_workspace.model_sizes import ADVICE

PACKED_DTYPES = re.compile(r"F8_|F6_|F4")
PACKED_NAMES = re.compile(r"\.(qweight|qzeros|g_idx|weight_packed|weight_scale(_inv)?|SCB|absmax|quant_map)$")


def check_not_quantised(
    where: str, config: Mapping[str, Any], found: Mapping[str, Tensor] | None = None
) -> None:
    """Check that the weights are plain floating-point numbers.

    Raises:
        UserError: they are packed into fewer bits.
    """
    text = config.get("text_config")
    given = next(
        (
            part[key]
            for part in (config, text if isinstance(text, dict) else {})
            for key in ("quantization_config", "compression_config")
            if part.get(key)
        ),
        None,
    )
    seen = None
    if given is not None:
        kind = given.get("quant_method") or given.get("quant_algo") if isinstance(given, dict) else given
        seen = f"config.json names {printable(kind or 'a quantization_config', 40)}"
    for name, tensor in (found or {}).items():
        if seen is None and (PACKED_DTYPES.match(tensor.dtype) or PACKED_NAMES.search(name)):
            seen = f"{printable(name, 120)} is {tensor.dtype}"
    if seen:
        raise UserError(
            f"{where} is quantized ({seen}), and tuning needs weights in float16, bfloat16 or float32. Name "
            "the model that it was quantized from (model.uri)."
        )


def read_tensors(where: str, folder: Path, files: Sequence[str]) -> dict[str, Tensor]:
    """Read the headers of the weight files and check them against the index.

    Raises:
        UserError: a file is damaged, two hold one tensor, or the index says otherwise.
    """
    found: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in read_header(folder / file).items():
            if name in found:
                raise UserError(
                    f"{printable(name, 120)} of {where} is in {found[name].file.name} and in {file}, "
                    f"expected each tensor once. {WHOLE}"
                )
            found[name] = tensor
    if len(files) > 1 or INDEX in files or (folder / INDEX).is_file():
        for name, file in weight_map(where, folder / INDEX).items():
            if file in files and (name not in found or found[name].file.name != file):
                raise UserError(
                    f"{INDEX} of {where} lists {printable(name, 120)} in {file}, which does not hold it. "
                    f"{WHOLE}"
                )
    return found


def weight_map(where: str, index: Path) -> dict[str, str]:
    """Read which file holds which tensor.

    Raises:
        UserError: it is not such a list, or a file's name leads out of the folder.
    """
    listed = read_object(index, where).get("weight_map")
    if (
        not isinstance(listed, dict)
        or not listed
        or not all(isinstance(file, str) for file in listed.values())
    ):
        raise UserError(
            f"{index.name} of {where} has no weight_map from tensors to files, expected what save_pretrained "
            f"writes (it is not a list of shards). {ADVICE}"
        )
    for file in listed.values():
        if "/" in file or "\\" in file or file in ("", ".", "..") or not file.isprintable():
            raise UserError(
                f"{index.name} of {where} names the file '{printable(file, 80)}', expected files of the same "
                f"folder. {ADVICE}"
            )
        if not file.endswith(".safetensors"):
            raise UserError(
                f"{index.name} of {where} names the file '{printable(file, 80)}', expected *.safetensors. "
                f"{ADVICE}"
            )
    return listed


def settle_head(run: Run, where: str, config: Any, folder: Path, found: Mapping[str, Tensor]) -> bool:
    """Leave out a separate output layer if config.json ties it to the embeddings; return whether it did.

    mini-trainer goes by config.json and transformers 5 by the values, so that such a folder would be one
    model in training and another one in evaluation.
    """
    tied = any(getattr(part, "tie_word_embeddings", None) for part in (config, text_part(config)))
    rows = embeddings(found)
    if not tied or HEAD not in found or len(rows) != 1 or same_bytes(found[HEAD], found[rows[0]]):
        return False
    run.choice(
        "output layer",
        "tied",
        f"config.json of {where} ties it to {rows[0]} (tie_word_embeddings), so {HEAD}, which differs, is "
        "left out",
    )
    rewrite_without(found[HEAD].file, [HEAD])
    index = folder / INDEX
    if index.is_file():
        listed = read_object(index, where)
        listed["weight_map"].pop(HEAD, None)
        write_atomic(index, json.dumps(listed, indent=2) + "\n")
    return True
