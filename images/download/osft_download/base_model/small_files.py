"""The base model without its weights: what turns rows into tokens, before gigabytes are moved."""

import shutil
from pathlib import Path
from typing import Any

from osft_download.base_model.files import regular
from osft_download.base_model.json_files import read_object
from osft_download.base_model.staging import Plan
from osft_download.base_model.trust import strip
from osft_workspace import Run

WEIGHTS = (".safetensors", ".bin")


def fetch(run: Run, plan: Plan, folder: Path) -> Path:
    """Fill a folder with the model's small files, as they will lie in the cache; returns it."""
    folder.mkdir(parents=True)
    names = [name for name in plan.names if not name.endswith(WEIGHTS)]
    for name in names:
        if isinstance(plan.source, Path):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(regular(plan.source, name), folder / name)
        else:
            plan.source.load(name, folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub client's own notes
    if not plan.wish.trust:
        strip(run, folder, names, None)
    return folder


def vocabulary(folder: Path) -> int:
    """Return how many token ids the model has embeddings for, as its config.json says."""
    config: dict[str, Any] = read_object(folder / "config.json", "the base model")
    text = config.get("text_config")
    return int((text if isinstance(text, dict) and "vocab_size" in text else config).get("vocab_size") or 0)
