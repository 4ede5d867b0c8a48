"""A run that is ready to be evaluated: real records of download and train around tiny models."""

import array
import fcntl
import json
import shutil
import struct
import subprocess
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from osft_rows.encoder import RowEncoder
from osft_rows.settings import Settings
from osft_workspace import Outcome, Run, digest_json, run_stage, tree_digest, write_atomic
from tests.support.sandbox import ROOT

CACHE = ROOT / ".cache" / "tests"
CURVE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="540" height="252">'
    '<path d="M0 0L540 252" stroke="red"/></svg>'
)


def tiny_model() -> Path:
    """Folder with `model/`, `train.jsonl` and `holdout.jsonl`, made once for every test of this checkout."""
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / "tiny-model"
    with (CACHE / ".tiny-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "model" / "config.json").is_file():
            python = ROOT / ".venvs" / "train" / "bin" / "python"
            subprocess.run([python, ROOT / "tests/support/tiny_model.py", target], check=True)
    return target


def perturbed(source: Path, target: Path, scale: float, *, only: str = "") -> Path:
    """Return a copy of a float32 model whose weights are multiplied: all, or those whose name has `only`."""
    shutil.copytree(source, target)
    path = target / "model.safetensors"
    data = bytearray(path.read_bytes())
    (size,) = struct.unpack("<Q", data[:8])
    for name, tensor in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__" or only not in name:
            continue
        start, end = (8 + size + offset for offset in tensor["data_offsets"])
        values = array.array("f", data[start:end])
        data[start:end] = array.array("f", [value * scale for value in values]).tobytes()
    path.write_bytes(data)
    return target


def with_template(source: Path, target: Path, template: str | None) -> Path:
    """Return a copy of a model with another chat template, or none."""
    shutil.copytree(source, target)
    config = json.loads((target / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (target / "tokenizer_config.json").write_text(json.dumps(config))
    (target / "chat_template.jinja").unlink(missing_ok=True)
    if template is not None:
        (target / "chat_template.jinja").write_text(template)
    return target


def encode(workspace: Path, model: Path, rows: Sequence[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Encode held-out rows as download does; returns their folder in the workspace and the record's part."""
    # As where embeddings grow: any token will do.
    encoder = RowEncoder(Settings(model=str(model), vocabulary=1 << 31))
    lines = (json.dumps(row).encode() for row in rows)
    kinds = groupby(zip(rows, lines, strict=True), lambda pair: sorted(pair[0]))
    results = [
        result for _, pairs in kinds for result in encoder.encode([line for _, line in pairs], prompts=True)
    ]
    assert all(result.line for result in results), [result.reason for result in results]
    folder = f"cache/tokens/{digest_json([list(rows), str(model)]).removeprefix('sha256:')}"
    write_atomic(
        workspace / folder / "eval.jsonl", b"".join(result.line + b"\n" for result in results).decode()
    )
    write_atomic(workspace / folder / "train.jsonl", "")
    return folder, {"path": folder, "sets": {}, "settings": {}, "preview": []}


def make_trained_run(
    workspace: Path,
    run_id: str,
    *,
    base: Path,
    tuned: Path,
    rows: Sequence[dict[str, Any]],
    trackers: dict[str, dict[str, str]] | None = None,
) -> Path:
    """Leave finished predecessors of eval in `workspace`; returns the run's folder.

    Args:
        base, tuned: model folders; they are copied in.
        rows: held-out rows; none is what data.trainFraction 1 leaves.
        trackers: tracker -> its run, as the record of train names them.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    digest = tree_digest(base)
    cached = f"cache/models/{digest.removeprefix('sha256:')}"
    if not (workspace / cached).is_dir():
        shutil.copytree(base, workspace / cached)
    tokens, encoded = encode(workspace, workspace / cached, rows)

    def download(run: Run) -> Outcome:
        write_atomic(run.dir / "train.jsonl", '{"messages": []}\n')
        write_atomic(run.dir / "eval.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        write_atomic(run.dir / "rejected.jsonl", "")
        model = {"uri": "hf://org/tiny", "revision": "abc123", "path": cached, "digest": digest}
        details = {
            "rows": {"read": 400 + len(rows), "train": 400, "eval": len(rows), "rejected": 0},
            "sources": [{"uri": "hf://org/village", "revision": "def456", "rows": 400 + len(rows)}],
            "model": model,
            "seed": 42,
            "tokens": encoded,
            "no_held_out": "" if rows else "data.trainFraction is 1 and data.evalUri is empty",
        }
        shared = {cached: digest, tokens: tree_digest(workspace / tokens)}
        return Outcome(
            outputs=["train.jsonl", "eval.jsonl", "rejected.jsonl"], shared=shared, details=details
        )

    def train(run: Run) -> Outcome:
        shutil.copytree(tuned, run.dir / "model")
        write_atomic(run.dir / "loss.svg", CURVE)
        details = {
            "method": "osft",
            "hardware": "2 CPU cores (Test)",
            "model": {"path": "train/model", "digest": tree_digest(run.dir / "model")},
            "base": run.predecessors["download"].details["model"],
            "arguments": {"unfreeze_rank_ratio": 0.25, "learning_rate": 5e-5, "num_epochs": 1},
            "device": "cpu",
            **({"trackers": trackers} if trackers else {}),
        }
        metrics = {"steps": 20, "training_seconds": 12.5}
        return Outcome(outputs=["model", "loss.svg"], metrics=metrics, details=details)

    run_stage("download", workspace, run_id, inputs={"rows": list(rows)}, needs=(), body=download)
    run_stage("train", workspace, run_id, inputs={}, needs=("download",), body=train)
    return workspace / "runs" / run_id
