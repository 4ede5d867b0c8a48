"""Where decompositions of the base model's matrices are kept; `worker.factors` reads and writes them."""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from osft_train.base import Base
from osft_train.options import Options
from osft_workspace import Run
from osft_workspace.files import check_inside

Shape = tuple[int, int]
MARK = '{"decomposition"'
"""Begins a line of the worker's log that says how one matrix was decomposed..."""
KEPT, MADE = "kept", "made"
"""...read from the folder, or computed."""
LEFTOVER = 86400.0
"""Seconds after which a temporary file belongs to a process that was killed."""
ROOM = 0.5
"""Share of the free space that decompositions may take: full states and the model need some too."""


def bytes_of(shapes: Sequence[Shape], kind: str) -> int:
    """Bytes of the decompositions of matrices, in the number format of `osft_upcast_dtype`."""
    each = 8 if kind == "float64" else 4
    return sum(each * min(rows, columns) * (rows + columns + 1) for rows, columns in shapes)


def choose(run: Run, base: Base, shapes: Sequence[Shape], options: Options) -> Path | None:
    """Return the folder for this base model's decompositions, or None where none are kept.

    Raises:
        UserError: a link leads out of the workspace.
    """
    if not (options.svd_cache and shapes):
        return None
    folder = run.workspace.factors / base.facts["digest"].removeprefix("sha256:")
    check_inside(run.workspace.root, folder)
    there = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    needed = bytes_of(shapes, str(options.extra.get("osft_upcast_dtype"))) - there
    free = shutil.disk_usage(run.workspace.root).free
    if needed > ROOM * free:
        run.choice(
            "svd_cache",
            False,
            f"decompositions need {needed / 2**30:.1f} GiB more, which is over half of the "
            f"{free / 2**30:.1f} GiB that are free in the workspace",
        )
        return None
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    os.utime(folder)  # `osft prune` removes what no training has used for long
    return folder


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for path in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # another training removes it too
            if time.time() - path.stat().st_mtime > LEFTOVER:
                path.unlink()
