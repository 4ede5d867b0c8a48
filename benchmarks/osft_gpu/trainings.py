"""What a training left: its record, its steps, and how its matrices were decomposed."""

import json
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = '{"decomposition"'
"""Begins a line of train.log that says how one matrix was decomposed."""
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Training:
    """One training that ended well."""

    record: dict[str, Any]
    steps: list[dict[str, float]]

    @classmethod
    def read(cls, folder: Path) -> "Training":
        """Read the folder of the stage."""
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return cls(json.loads((folder / "record.json").read_text()), [json.loads(line) for line in lines])

    def median(self, figure: str) -> float:
        """Return the median over the steps without the first, which allocates memory and compiles."""
        return statistics.median(step[figure] for step in self.steps[1:] or self.steps)

    @property
    def seconds(self) -> float:
        """Seconds of a step."""
        return self.median("seconds")

    @property
    def start(self) -> float:
        """Seconds of the whole stage that were not steps."""
        return float(self.record["timings"]["seconds"] - self.record["metrics"]["training_seconds"])

    @property
    def gpu_memory(self) -> float:
        """Largest memory of torch on the GPU, in GiB; 0 on a CPU."""
        return max(step.get("gpu_memory_gb", 0.0) for step in self.steps) * 1e9 / GIB

    @property
    def memory(self) -> float:
        """Largest memory of the stage's processes on the machine, in GiB."""
        return float(self.record["timings"]["peak_memory_bytes"]) / GIB

    def facts(self) -> dict[str, Any]:
        """Return how it ran."""
        details = self.record["details"]
        names = ("device", "backend", "attention", "compute")
        return {**{name: details[name] for name in names}, "liger": details["arguments"]["use_liger"]}


def decomposed(folder: Path, since: float) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each matrix by how (made, kept) and shape, also of a training that was ended.

    Args:
        since: when the training was started; a log that is older is another one's.
    """
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for log in (folder / "unfinished" / "train.log", folder / "train.log"):
        if not log.is_file() or log.stat().st_mtime < since:
            continue
        for line in log.read_text().splitlines():
            if line.startswith(MARK) and line.endswith("}") and "seconds" in (said := json.loads(line)):
                found[said["decomposition"]][said["shape"]].append(said["seconds"])
        break
    return found
