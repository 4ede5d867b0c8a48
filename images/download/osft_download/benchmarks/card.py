"""The card of a copy that has one config: `datasets` looks for the files of the first config of a card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from osft_download.sources.card import CARD
from osft_download.sources.hub_card import INFOS, SETTINGS
from osft_workspace import write_atomic

NAME, CONFIGS, INFO = "config_name", "configs", "dataset_info"


def write_card(source: Path, target: Path, config: str) -> None:
    """Write what a dataset's card and settings say of one config.

    Args:
        source: folder with `README.md`, `.huggingface.yaml` and `dataset_infos.json`, where there are any.
        config: its name; of one that stands in no card, nothing is said.
    """
    from huggingface_hub.repocard import metadata_load

    card = (metadata_load(source / CARD) if (source / CARD).is_file() else None) or {}
    settings = yaml.safe_load((source / SETTINGS).read_text()) if (source / SETTINGS).is_file() else None
    kept = {
        key: found
        for key, value in {**card, **(settings or {})}.items()
        if key in (CONFIGS, INFO) and (found := [item for item in as_list(value) if is_of(item, config)])
    }
    if kept:
        text = yaml.safe_dump(kept, allow_unicode=True, sort_keys=False)
        write_atomic(target / CARD, f"---\n{text}---\n")
    if (source / INFOS).is_file():
        infos = json.loads((source / INFOS).read_text())
        of_config = {name: info for name, info in infos.items() if len(infos) == 1 or name == config}
        write_atomic(target / INFOS, json.dumps(of_config))


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and one object as a list of it, as cards may hold either."""
    return value if isinstance(value, list) else [value]


def is_of(item: Any, config: str) -> bool:
    """Return whether an entry of a card belongs to a config."""
    return isinstance(item, Mapping) and item.get(NAME, "default") == config
