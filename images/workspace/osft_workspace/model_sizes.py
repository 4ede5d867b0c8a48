"""Sizes in a model's config.json, by which libraries build lists before they look at any tensor."""

import json
from pathlib import Path
from typing import Any

from osft_workspace.exits import UserError
from osft_workspace.files import read_regular
from osft_workspace.text import excerpt, printable

MOST = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth"), 2000),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "intermediate_size"), 1_000_000),
    **dict.fromkeys(("vocab_size", "max_position_embeddings"), 100_000_000),
    "num_labels": 100_000,
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 10_000),
}
"""Far beyond any model; above, building one takes hours, or all memory."""
LARGEST = 32 << 20  # bytes
ADVICE = "Download the model again, or save it again with save_pretrained."
AGAIN = "It was changed after download and train left it: run them again."


def sizes_in_bounds(config: dict[str, Any], where: str, advice: str = ADVICE) -> None:
    """Raise UserError for sizes that would fill memory before any tensor is looked at."""
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name, most in MOST.items():
            value = part.get(name)
            if isinstance(value, int | float) and value > most:
                raise UserError(
                    f"config.json of {where} gives {name} as {printable(value, 40)}, expected at most "
                    f"{most}. {advice}"
                )


def read_config(folder: Path, where: str) -> dict[str, Any]:
    """Return the config.json of a model that an earlier stage has checked.

    Raises:
        UserError: it is not the file that the stage left, or holds sizes that no model has.
    """
    try:
        config = json.loads(read_regular(folder / "config.json", f"the config.json of {where}", LARGEST))
    except (ValueError, RecursionError) as error:
        raise UserError(f"config.json of {where} is not JSON ({excerpt(str(error))}). {AGAIN}") from error
    if not isinstance(config, dict):
        raise UserError(f"config.json of {where} is not a JSON object. {AGAIN}")
    sizes_in_bounds(config, where, AGAIN)
    return config
