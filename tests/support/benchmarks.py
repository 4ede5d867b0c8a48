"""Small copies of benchmarks on the hub, with the layout of the real ones: parquet files and a card."""

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.hub import Repo
from tests.support.sandbox import executable

Rows = Sequence[Mapping[str, Any]]
ANIMALS = ("cat", "dog", "cow", "hen", "owl", "fox")
WRITE = """
import base64, io, json, sys, pyarrow, pyarrow.parquet
def packed(rows):
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return base64.b64encode(out.getvalue()).decode()
json.dump({name: packed(rows) for name, rows in json.load(sys.stdin).items()}, sys.stdout)
"""


def parquet(files: Mapping[str, Rows]) -> dict[str, bytes]:
    """Return name -> rows as parquet, written by the pyarrow of the download stage."""
    python = Path(executable("download")).with_name("python")
    done = subprocess.run(
        [python, "-c", WRITE], input=json.dumps(files).encode(), stdout=subprocess.PIPE, check=True
    )
    return {name: base64.b64decode(text) for name, text in json.loads(done.stdout).items()}


def dataset(configs: Mapping[str, Mapping[str, Rows]], **more: Any) -> Repo:
    """A repository with a config for each key: split -> rows."""
    card, files = ["---", "configs:"], {}
    for config, splits in configs.items():
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            card += [f"  - split: {split}", f"    path: {config}/{split}-*"]
            files[f"{config}/{split}-00000-of-00001.parquet"] = rows
    return Repo({"README.md": "\n".join([*card, "---", ""]).encode(), **parquet(files)}, **more)


def arc(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows of allenai/ai2_arc."""
    return [
        {
            "id": f"q{number}",
            "question": f"Which animal is number {number}?",
            "choices": {"text": list(ANIMALS[:4]), "label": list("ABCD")},
            "answerKey": "ABCD"[number % 4],
        }
        for number in range(start, start + count)
    ]


def sums(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows of openai/gsm8k."""
    return [
        {
            "question": f"What is {n} plus {n}?",
            "answer": f"{n} + {n} = <<{n}+{n}={2 * n}>>{2 * n}\\n#### {2 * n}",
        }
        for n in range(start, start + count)
    ]


def subject(name: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows of one config of cais/mmlu."""
    return [
        {
            "question": f"Of {name}: what is {number}?",
            "subject": name,
            "choices": list(ANIMALS[:4]),
            "answer": number % 4,
        }
        for number in range(start, start + count)
    ]


def real_names(subjects: Sequence[str], gated: bool = False) -> dict[str, Repo]:
    """Return ai2_arc, gsm8k and mmlu with a few items, under the names that lm-eval's tasks ask for."""
    easy = {"train": arc(4), "validation": arc(3, 4), "test": arc(6, 7)}
    mmlu = {
        name: {"test": subject(name, 3), "validation": subject(name, 1, 3), "dev": subject(name, 5, 4)}
        for name in subjects
    }
    return {
        "datasets/allenai/ai2_arc": dataset({"ARC-Challenge": easy, "ARC-Easy": easy}, gated=gated),
        "datasets/openai/gsm8k": dataset(
            {"main": {"train": sums(9), "test": sums(4, 9)}, "socratic": {"test": sums(1)}}
        ),
        "datasets/cais/mmlu": dataset(mmlu),
    }
