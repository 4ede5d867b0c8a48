"""A workspace of runs that share a base model, to remove some of them."""

import json
import os
import time
from pathlib import Path

OLD = time.time() - 40 * 86400


def make_run(
    workspace: Path, name: str, *, registered: bool = False, old: bool = True, chain: tuple[str, ...] = ()
) -> Path:
    """A run that was prepared from model `model-<name>` and the shared one, after the runs of `chain`."""
    for stage in ("download", "register"):
        folder = workspace / "runs" / name / stage
        folder.mkdir(parents=True)
        record = {
            "schema": "osft-pipeline/record/v1", "stage": stage, "status": "done", "run_id": name,
            "message": "", "inputs": {}, "inputs_digest": "", "needs": {}, "outputs": [],
            "shared": {}, "details": {},
        }  # fmt: skip
        if stage == "download":
            record["shared"] = {"cache/models/shared": "d", f"cache/models/{name}": "d"}
            if chain:
                record["details"] = {"chain": {"asked": chain[-1], "links": [{"run": run} for run in chain]}}
        if stage == "register" and registered:
            record["details"] = {"version": "v1", "url": "http://registry/model_versions/1"}
        (folder / "record.json").write_text(json.dumps(record))
        if old:
            os.utime(folder / "record.json", (OLD, OLD))
    for model in ("shared", name):
        (workspace / "cache" / "models" / model).mkdir(parents=True, exist_ok=True)
        (workspace / "cache" / "models" / model / "weights").write_text("x" * 2**20)
    return workspace / "runs" / name


def there(workspace: Path) -> tuple[list[str], list[str]]:
    """Runs and cached models."""
    folders = (workspace / "runs", workspace / "cache" / "models")
    runs, models = (sorted(path.name for path in folder.iterdir()) for folder in folders)
    return runs, models


def fill(workspace: Path) -> Path:
    """An old run, a new one, and an old one that is registered; return the workspace."""
    make_run(workspace, "old-1")
    make_run(workspace, "new-1", old=False)
    make_run(workspace, "kept-1", registered=True)
    (workspace / "cache" / "models" / ".staging").mkdir()
    return workspace
