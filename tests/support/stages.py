"""The smallest valid command line of each stage, on inputs made in seconds."""

import json
import struct
from pathlib import Path

from tests.support.registry import shared_registry
from tests.support.sandbox import executable
from tests.support.tuned_run import make_tuned_run


def write_hollow_model(folder: Path) -> Path:
    """A folder that download takes for a model: its weights are whole and mean nothing."""
    folder.mkdir(parents=True)
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Hollow\n")
    return folder


def download_args(workspace: Path, run_id: str, tmp: Path) -> list[str]:
    """`osft-download` on 20 chat rows and a hollow model below `tmp`."""
    rows = tmp / "rows.jsonl"
    talk = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "Number %d."}]
    rows.write_text("".join(json.dumps({"messages": talk}) % number + "\n" for number in range(20)))
    model = write_hollow_model(tmp / "hollow")
    return [
        executable("download"),
        *("--workspace", str(workspace), "--run-id", run_id),
        *("--uri", str(rows), "--model-uri", str(model)),
    ]


def register_args(workspace: Path, run_id: str, tmp: Path) -> list[str]:
    """`osft-register` on an invented run and the real registry; many files make its provenance long."""
    make_tuned_run(workspace, run_id, shards=100)
    return [
        executable("register"),
        *("--workspace", str(workspace), "--run-id", run_id),
        *("--address", shared_registry().address, "--name", tmp.name, "--claim", "osft-workspace"),
    ]
