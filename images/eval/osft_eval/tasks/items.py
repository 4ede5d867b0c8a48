"""Reads the retention suite's items for lm_eval, which imports this file from where the task's YAML lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

DATA = Path(__file__).parent / "data"


def load(family: str, **metadata: Any) -> dict[str, Dataset]:
    """Return the items of one family, in their fixed order, as the split `test`.

    A file next to this one, wherever the package is installed, and no copy in the datasets library's cache:
    `dataset_path: json` wants a path from the working directory and a cache it may write. lm_eval passes the
    task's metadata along.
    """
    from datasets import Dataset

    lines = (DATA / f"{family}.jsonl").read_text(encoding="utf-8").splitlines()
    return {"test": Dataset.from_list([json.loads(line) for line in lines])}
